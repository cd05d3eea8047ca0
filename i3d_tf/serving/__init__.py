"""What an exported model computes, in functions of tensors."""
