"""How a network is computed: the plan, its runs, recorded programs, threads, streaming, algorithms."""
