//! The names outside of a pickle that a state dict refers to.

use super::messages::{CONVERT, shown};
use safetensors::Dtype;

/// A class or function of Python by which a state dict describes its tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `torch._utils._rebuild_tensor`, until PyTorch 0.3: storage, offset, shape, strides.
    OldTensor,
    /// `torch._utils._rebuild_tensor_v2`: storage, offset, shape, strides, settings of training.
    Tensor,
    /// `torch._utils._rebuild_tensor_v3`: the same with the type of the elements.
    TypedTensor,
    /// `torch._utils._rebuild_parameter`: a tensor and settings of training.
    Parameter,
    /// A storage of elements of a type, such as `torch.FloatStorage`.
    Storage(Dtype),
    /// `torch.storage.UntypedStorage`: a storage of bytes.
    UntypedStorage,
    /// A type, such as `torch.uint16`.
    Type(Dtype),
}

impl Global {
    /// Returns the global of a name, or an error that names the one that no state dict needs.
    pub(super) fn of(module: &str, name: &str) -> Result<Self, String> {
        let known = match (module, name) {
            ("collections", "OrderedDict") => Some(Self::OrderedDict),
            ("torch._utils", "_rebuild_tensor") => Some(Self::OldTensor),
            ("torch._utils", "_rebuild_tensor_v2") => Some(Self::Tensor),
            ("torch._utils", "_rebuild_tensor_v3") => Some(Self::TypedTensor),
            ("torch._utils", "_rebuild_parameter") => Some(Self::Parameter),
            ("torch.storage", "UntypedStorage") => Some(Self::UntypedStorage),
            ("torch", name) => storage(name).map(Self::Storage).or_else(|| element(name).map(Self::Type)),
            _ => None,
        };
        known.ok_or_else(|| {
            format!(
                "it refers to `{}.{}`, which the weights of an encoder do not need; nothing of it was run. Only open it \
                 elsewhere if you trust its author; if it is right, {CONVERT}",
                shown(module),
                shown(name)
            )
        })
    }
}

fn storage(name: &str) -> Option<Dtype> {
    Some(match name {
        "DoubleStorage" => Dtype::F64,
        "FloatStorage" => Dtype::F32,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::BF16,
        "LongStorage" => Dtype::I64,
        "IntStorage" => Dtype::I32,
        "ShortStorage" => Dtype::I16,
        "CharStorage" => Dtype::I8,
        "ByteStorage" => Dtype::U8,
        "BoolStorage" => Dtype::BOOL,
        "ComplexFloatStorage" => Dtype::C64,
        _ => return None,
    })
}

/// Returns a type that has no storage of its own.
fn element(name: &str) -> Option<Dtype> {
    Some(match name {
        "uint16" => Dtype::U16,
        "uint32" => Dtype::U32,
        "uint64" => Dtype::U64,
        "float8_e4m3fn" => Dtype::F8_E4M3,
        "float8_e5m2" => Dtype::F8_E5M2,
        _ => return None,
    })
}
