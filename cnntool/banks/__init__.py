"""Arrays of fixed filters: Gabor, Leung-Malik, RFS, Schmid, derivatives, Laws, DCT, Morlet, random, or a file's."""
