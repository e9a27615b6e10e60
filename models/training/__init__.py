"""Training of M+: both adapters and the retriever, on a frozen base."""
