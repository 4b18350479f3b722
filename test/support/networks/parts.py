"""What the networks share: convolution with batch norm and activation, squeeze and excitation, weights from a seed."""
import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F

ACTIVATIONS = {
    None: lambda x: x,
    'relu': F.relu,
    'hardswish': F.hardswish,
    'swish': F.swish,
    'gelu': F.gelu,
}


class ConvNorm(nn.Layer):
    """Convolution without a bias, batch norm, activation. `kernel` and `stride` are a number or a pair; padding keeps the size."""

    def __init__(self, inputs, outputs, kernel=1, stride=1, groups=1, act='relu', padding=None):
        super().__init__()
        if padding is None:
            padding = [k // 2 for k in kernel] if isinstance(kernel, (list, tuple)) else kernel // 2
        self.conv = nn.Conv2D(inputs, outputs, kernel, stride, padding, groups=groups, bias_attr=False)
        self.norm = nn.BatchNorm2D(outputs)
        self.act = act

    def forward(self, x):
        return ACTIVATIONS[self.act](self.norm(self.conv(x)))


class SqueezeExcite(nn.Layer):
    """Hu et al., 2018, with the hard sigmoid of MobileNetV3; PP-OCR's slope is 0.2."""

    def __init__(self, channels, reduction=4, slope=0.2):
        super().__init__()
        self.reduce = nn.Conv2D(channels, channels // reduction, 1)
        self.expand = nn.Conv2D(channels // reduction, channels, 1)
        self.slope = slope

    def forward(self, x):
        y = F.relu(self.reduce(F.adaptive_avg_pool2d(x, 1)))
        return x * F.hardsigmoid(self.expand(y), slope=self.slope, offset=0.5)


class Sum(nn.Layer):
    """The sum of what several layers make of one tensor."""

    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.LayerList(branches)

    def forward(self, x):
        y = self.branches[0](x)
        for branch in self.branches[1:]:
            y = y + branch(x)
        return y


class Affine(nn.Layer):
    """The learnable scale and shift of PPLCNetV3 and PPHGNetV2: one number each."""

    def __init__(self):
        super().__init__()
        self.scale = self.create_parameter([1], default_initializer=nn.initializer.Constant(1.0))
        self.bias = self.create_parameter([1], default_initializer=nn.initializer.Constant(0.0))

    def forward(self, x):
        return self.scale * x + self.bias


def settle(network, sample, seed):
    """
    Gives every parameter and statistic a value that matters: scales apart from 1, means and biases apart from 0. Statistics are near those of
    `sample`, so that values neither grow nor vanish from layer to layer and outputs say something.
    """
    rng = np.random.RandomState(seed)
    for name, tensor in network.state_dict().items():
        shape = tensor.shape
        if name.endswith(('_mean', '_variance')):
            continue
        if name.endswith('bias') or 'bias_' in name:
            value = rng.normal(0, 0.1, shape)
        elif len(shape) < 2:
            value = rng.uniform(0.6, 1.4, shape)
        elif 'embed' in name:
            value = rng.normal(0, 0.5, shape)
        else:
            is_rows = len(shape) == 2 and not name.endswith(('_ih', '_hh'))
            fan = shape[0] if is_rows else int(np.prod(shape[1:]))
            value = rng.normal(0, 1.4 / np.sqrt(fan), shape)
        tensor.set_value(np.asarray(value, 'float32').reshape(shape))
    network.eval()

    def observe(norm, inputs):
        x = inputs[0].numpy()
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3))
        norm._mean.set_value(mean + 0.1 * np.sqrt(variance) * rng.normal(0, 1, mean.shape).astype('float32'))
        norm._variance.set_value((variance + 0.1) * rng.uniform(0.7, 1.3, mean.shape).astype('float32'))

    norms = [layer for layer in network.sublayers() if isinstance(layer, nn.BatchNorm2D)]
    hooks = [norm.register_forward_pre_hook(observe) for norm in norms]
    if hooks:
        network(*[paddle.to_tensor(x) for x in sample])
    for hook in hooks:
        hook.remove()
    return network
