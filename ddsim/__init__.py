"""Visual search on a DeepDetect server: a photo goes in, its category and the most similar reference pictures come out."""
