"""The architecture of a VGGT model as plain numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

PatchEmbedding = Literal["dinov2", "conv"]
AttentionPattern = Literal["alternating", "global", "cross"]

_PRESETS: dict[str, dict[str, Any]] = {"vggt-1b": {}}


@dataclass(frozen=True, slots=True, kw_only=True)
class VGGTConfig:
    """Sizes and switches of a VGGT model; the defaults are those of VGGT-1B.

    Raises:
        ValueError: If sizes do not fit together.
    """

    img_size: int = 518
    """Side of the square image that the encoder's position table was made for, px."""
    patch_size: int = 14
    """Side of the square that becomes one token, px."""
    embed_dim: int = 1024
    """Token width C of the encoder and of the alternating attention; heads see 2C."""
    depth: int = 24
    """Number of frame attention blocks, and of global ones."""
    num_heads: int = 16
    """Attention heads of those blocks."""
    attention: AttentionPattern = "alternating"
    """What a frame's tokens attend to in those blocks: its own and all by turns, always all, or
    always those of the other frames. The parameters are the same; VGGT-1B is alternating."""
    num_register_tokens: int = 4
    """Register tokens per frame, of the encoder and again of the aggregator."""
    patch_embed: PatchEmbedding = "dinov2"
    """How pixels become tokens: a DINOv2 encoder with registers or one convolution."""
    encoder_depth: int = 24
    """Blocks of the DINOv2 encoder."""
    encoder_heads: int = 16
    """Attention heads of the DINOv2 encoder."""

    enable_camera: bool = True
    """Predict a pose encoding for every frame."""
    enable_depth: bool = True
    """Predict a depth map for every frame."""
    enable_point: bool = True
    """Predict a world point for every pixel."""
    enable_track: bool = True
    """Track query pixels through the frames."""

    camera_depth: int = 4
    """Blocks of the camera head's trunk."""
    camera_heads: int = 16
    """Attention heads of the camera head's trunk."""
    camera_iterations: int = 4
    """How often the camera head refines its estimate."""

    dpt_features: int = 256
    """Width of the dense heads' fusion."""
    dpt_channels: tuple[int, int, int, int] = (256, 512, 1024, 1024)
    """Width of the four maps that are fused, finest first."""
    dpt_layers: tuple[int, int, int, int] = (4, 11, 17, 23)
    """Attention layers that those maps are read from."""

    track_features: int = 128
    """Width of the tracker's feature maps."""
    track_corr_levels: int = 7
    """Levels of the tracker's correlation pyramid."""
    track_corr_radius: int = 4
    """Radius of the correlation window, feature pixels."""
    track_position_embedding: bool = False
    """Whether the tracker's feature maps embed where a pixel lies; as the weights were trained."""
    track_hidden: int = 384
    """Width of the tracker's transformer."""
    track_iterations: int = 4
    """How often the tracker refines its estimate."""

    def __post_init__(self) -> None:
        for name, width, heads in (
            ("embed_dim / num_heads", self.embed_dim, self.num_heads),
            ("embed_dim / encoder_heads", self.embed_dim, self.encoder_heads),
            ("2 embed_dim / camera_heads", 2 * self.embed_dim, self.camera_heads),
        ):
            if width % heads:
                raise ValueError(f"VGGTConfig: {name} must be whole, got {width} / {heads}")
        if self.embed_dim // self.num_heads % 4:
            raise ValueError(
                "VGGTConfig: embed_dim / num_heads must be a multiple of 4 (sine and cosine of "
                f"y and x), got {self.embed_dim // self.num_heads}"
            )
        if self.patch_embed not in get_args(PatchEmbedding):
            raise ValueError(f"VGGTConfig: unknown patch_embed {self.patch_embed!r}")
        if self.attention not in get_args(AttentionPattern):
            raise ValueError(f"VGGTConfig: unknown attention {self.attention!r}")
        if self.img_size % self.patch_size:
            raise ValueError(
                f"VGGTConfig: img_size {self.img_size} is no multiple of "
                f"patch_size {self.patch_size}"
            )
        if self.dpt_features % 8 or any(channels % 4 for channels in self.dpt_channels):
            raise ValueError(
                "VGGTConfig: dpt_channels must be multiples of 4 and dpt_features of 8 (sine and "
                f"cosine of x and y), got {self.dpt_channels} and {self.dpt_features}"
            )
        if self.has_dense_heads and not all(0 <= i < self.depth for i in self.dpt_layers):
            raise ValueError(
                f"VGGTConfig: dpt_layers {self.dpt_layers} do not exist at depth {self.depth}"
            )

    @classmethod
    def preset(cls, name: str) -> VGGTConfig:
        """Return a published architecture by name: ``"vggt-1b"``.

        Raises:
            ValueError: If there is no such preset.
        """
        if name not in _PRESETS:
            raise ValueError(f"unknown VGGT preset {name!r}; there are: {', '.join(_PRESETS)}")
        return cls(**_PRESETS[name])

    @property
    def has_dense_heads(self) -> bool:
        """Whether some head reads the four layers of ``dpt_layers``."""
        return self.enable_depth or self.enable_point or self.enable_track

    @property
    def read_layers(self) -> tuple[int, ...]:
        """The attention layers that heads read, ascending; the others are not kept."""
        camera = {self.depth - 1} if self.enable_camera else set()
        dense = set(self.dpt_layers) if self.has_dense_heads else set()
        return tuple(sorted(camera | dense))
