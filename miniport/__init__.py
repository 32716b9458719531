"""Our driver for the 82574L, on NDIS above (``ndis``) and a HAL below (``miniport.hal``)."""
