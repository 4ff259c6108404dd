"""The grammar of layer words: words to layers. The only place beside the shell that knows click."""
