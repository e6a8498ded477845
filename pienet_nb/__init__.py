__version__ = "0.6.0"

import warnings

# fastai calls `torch.jit.script` when it is imported; that torch will drop it is nothing that a user could mend
warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
