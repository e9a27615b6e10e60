"""A model in this process: settings to weights, tokenizer and device. Prints nothing."""
