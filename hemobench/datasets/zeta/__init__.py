"""The Zeta data set: folders of pictures, their index and locations."""
