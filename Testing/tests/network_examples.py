"""Small networks of every kind that the tests of partial evaluation need, and backbone folders around them."""

import json
import warnings

import torch
from torch import nn

from InteractiveRefineLib.backbone import Backbone, BackboneConfig
from InteractiveRefineLib.segmentation import Segment


def randomized(network, seed=0):
    """`network` in eval mode with random weights and random running statistics."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * 0.4)
        for name, b in network.named_buffers():
            if b.is_floating_point():
                noise = torch.rand(b.shape, generator=generator)
                b.copy_(noise + 0.5 if "var" in name else noise)
    return network.eval().requires_grad_(False)


class UNet3d(nn.Module):
    """Two levels with a skip connection; registered in the reverse of the order of execution."""

    def __init__(self, channels: int = 1, classes: int = 3) -> None:
        super().__init__()
        self.head = nn.Conv3d(4, classes, 1)
        self.decode = nn.Sequential(nn.Conv3d(8, 4, 3, padding=1), nn.BatchNorm3d(4), nn.PReLU(4))
        self.up = nn.ConvTranspose3d(6, 4, 2, stride=2)
        norm = nn.InstanceNorm3d(6, affine=True)
        self.down = nn.Sequential(nn.Conv3d(4, 6, 3, stride=2, padding=1), norm, nn.PReLU())
        self.stem = nn.Sequential(nn.Conv3d(channels, 4, 3, padding=1), nn.BatchNorm3d(4), nn.LeakyReLU(0.1, True))

    def forward(self, x):
        x = self.stem(x)
        return self.head(self.decode(torch.cat([self.up(self.down(x)), x], 1)))


class ResidualNet(nn.Module):
    """In-place activations and in-place sums."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv3d(1, 4, 3, padding=1)
        self.a = nn.Conv3d(4, 4, 3, padding=1)
        self.b = nn.Conv3d(4, 4, 3, padding=1)
        self.norm = nn.InstanceNorm3d(4, affine=True)
        self.head = nn.Conv3d(4, 2, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.relu(self.stem(x))
        y = self.norm(self.b(self.relu(self.a(x))))
        y += x
        return self.head(self.relu(y))


class UNet2d(nn.Module):
    """Pads odd sizes and takes one more step on large images: control flow that depends on the shape."""

    def __init__(self, channels: int = 1, classes: int = 2, kernel: int = 1) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 4, 3, padding=1)
        self.deep = nn.Conv2d(4, 4, 3, padding=1)
        self.extra = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Conv2d(4, classes, kernel, padding=kernel // 2)

    def forward(self, x):
        height, width = x.shape[2:]
        if height % 2 or width % 2:
            x = nn.functional.pad(x, (0, width % 2, 0, height % 2))
        x = torch.relu(self.stem(x))
        y = nn.functional.interpolate(torch.relu(self.deep(nn.functional.max_pool2d(x, 2))), scale_factor=2.0)
        if x.shape[2] > 10:
            y = torch.relu(self.extra(y))
        return self.head(x + y)[:, :, :height, :width]


def scripted(network):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(network)


def traced(network, *shape):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(network, torch.zeros(shape))


def frozen(network):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.freeze(torch.jit.script(network))


def noise(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def running(network, x):
    """Runs `network` on `x` as `prepare` does."""

    def run():
        with torch.jit.optimized_execution(False):
            return network(x.clone())

    return run


def moved(tuned, amount=0.3, seed=2):
    """Other values for tuned parameters."""
    generator = torch.Generator().manual_seed(seed)
    return [p.detach() + amount * torch.randn(p.shape, generator=generator) for p in tuned]


def with_weights(run, tuned, values):
    """The network's output, and the gradients of its sum of squares, when it has other weights: the plain way."""
    before = [p.detach().clone() for p in tuned]
    try:
        for p, v in zip(tuned, values):
            p.data.copy_(v)
            p.requires_grad_(True)
        output = run()
        output = output if isinstance(output, torch.Tensor) else output[0]
        gradients = torch.autograd.grad((output**2).mean(), tuned)
        return output.detach(), gradients
    finally:
        for p, v in zip(tuned, before):
            p.data.copy_(v)
            p.requires_grad_(False)


def a_config(classes=3, **changes):
    """A description with `classes` output channels, the first one background."""
    labels = tuple(range(classes))
    names = ["background", "liver", "spleen", "kidney"]
    segments = tuple(Segment(names[n], n) for n in labels if n)
    sigmoid = changes.get("activation") == "sigmoid"
    if sigmoid:
        labels = tuple(range(1, classes + 1))
        segments = tuple(Segment(names[n], n) for n in labels)
    fields = {"name": "test", "dimensions": 3, "channels": ("CT",), "classes": segments, "channel_labels": labels}
    return BackboneConfig(**{**fields, **changes})


def a_backbone(network, classes=3, **changes):
    return Backbone(a_config(classes, **changes), network, None)


def description(**changes):
    """A valid backbone.json as a dictionary; a change to `...` takes the key out."""
    raw = {
        "format": 1,
        "name": "test",
        "classes": [{"name": "background"}, {"name": "liver", "color": [1, 0.5, 0]}, {"name": "spleen"}],
        **changes,
    }
    return {key: value for key, value in raw.items() if value is not ...}


def write_folder(folder, network=None, **changes):
    """Write a backbone folder with `network` as model.ts."""
    folder.mkdir(exist_ok=True)
    (folder / "backbone.json").write_text(json.dumps(description(**changes)), encoding="utf-8")
    if network is not None:
        module = network if isinstance(network, torch.jit.ScriptModule) else scripted(network)
        module.save(str(folder / "model.ts"))
    return folder
