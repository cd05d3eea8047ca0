"""I3D as PyTorch ports compute it, to be compared with; from this project's table.

Padding, convolution, BatchNorm and ReLU are separate operations, zeros are padded
before each of them, as pytorch-i3d has it.
"""

import torch
from torch import nn
from torch.nn import functional

from i3d_tf.trunk import CONV, INCEPTION_V1, POOL


class I3D(nn.Module):
    """Clips `[B, C, T, 224, 224]` -> logits `[B, num_classes]`."""

    def __init__(self, channels, num_classes):
        super().__init__()
        layers = []
        for kind, name, *row in INCEPTION_V1:
            if kind == CONV:
                kernel, strides, filters = row
                layers.append((name, _Unit(channels, filters, kernel, strides)))
                channels = filters
            elif kind == POOL:
                layers.append((name, _MaxPool(*row)))
            else:
                layers.append((name, _Mixed(channels, row[0])))
                channels = sum(row[0][index] for index in (0, 2, 4, 5))
        self.trunk = nn.Sequential()
        for name, layer in layers:
            self.trunk.add_module(name, layer)
        self.dropout = nn.Dropout(0.5)
        self.logits = nn.Conv3d(channels, num_classes, 1)

    def forward(self, clip):
        # PyTorch's CPU kernels lack this pool in bfloat16.
        features = self.trunk(clip).float()
        features = functional.avg_pool3d(features, (2, 7, 7), stride=1).to(clip.dtype)
        return self.logits(self.dropout(features)).squeeze(4).squeeze(3).mean(2)


class _Unit(nn.Module):
    def __init__(self, channels, filters, kernel, strides=(1, 1, 1)):
        super().__init__()
        self.conv3d = nn.Conv3d(channels, filters, kernel, strides, bias=False)
        self.bn = nn.BatchNorm3d(filters, eps=1e-3, momentum=0.001)

    def forward(self, x):
        x = _pad_same(x, self.conv3d.kernel_size, self.conv3d.stride)
        return functional.relu(self.bn(self.conv3d(x)))


class _MaxPool(nn.Module):
    def __init__(self, window, strides):
        super().__init__()
        self.window, self.strides = window, strides

    def forward(self, x):
        x = _pad_same(x, self.window, self.strides)
        return functional.max_pool3d(x, self.window, self.strides)


class _Mixed(nn.Module):
    def __init__(self, channels, filters):
        super().__init__()
        b0, b1_reduce, b1, b2_reduce, b2, b3 = filters
        one, three = (1, 1, 1), (3, 3, 3)
        self.branches = nn.ModuleList(
            [
                _Unit(channels, b0, one),
                nn.Sequential(
                    _Unit(channels, b1_reduce, one), _Unit(b1_reduce, b1, three)
                ),
                nn.Sequential(
                    _Unit(channels, b2_reduce, one), _Unit(b2_reduce, b2, three)
                ),
                nn.Sequential(_MaxPool(three, one), _Unit(channels, b3, one)),
            ]
        )

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


def _pad_same(x, window, strides):
    """Zeros as TensorFlow's SAME: an odd one goes to the end."""
    paddings = []
    for side, size, step in zip(x.shape[2:], window, strides, strict=True):
        missing = max((-(-side // step) - 1) * step + size - side, 0)
        paddings = [missing // 2, missing - missing // 2, *paddings]
    return functional.pad(x, paddings)
