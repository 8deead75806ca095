"""What travels, as our own types: the one place where generated classes become dataclasses and back.

``pcm`` turns bytes into audio, ``messages`` names what a stream carries, ``requests`` and ``responses`` translate it in
both directions, and ``listings`` does the same for bundles, styles and parameters.
"""
