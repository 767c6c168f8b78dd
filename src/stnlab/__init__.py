"""stnlab: spatial transformer networks, reproduced and extended."""
