"""Maps as conditions: masks, edges, low resolution, and whatever else lies over an image."""

from undrift.conditioning.maps.encoder import MapEncoder
from undrift.conditioning.maps.spec import NOT_GIVEN, MapSpec

__all__ = ["NOT_GIVEN", "MapEncoder", "MapSpec"]
