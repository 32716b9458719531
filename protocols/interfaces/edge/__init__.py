"""The NDIS protocol edge: what every transport does with NDIS, once."""
