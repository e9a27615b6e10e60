"""M+: a language model with a latent memory. Tensors and token ids; no documents, no terminal."""
