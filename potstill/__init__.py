"""What every part of Potstill may use and which itself uses none of them."""
