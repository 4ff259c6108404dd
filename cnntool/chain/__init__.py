"""The grammar of layer words: from words to layers. The only package besides `cli` that imports click."""
