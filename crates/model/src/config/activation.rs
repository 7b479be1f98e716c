//! Activations by the names that configurations have for them.

use crate::ModelError;
use crate::json::Fields;
use maana_kernels::Activation;

/// Names of activations in `hidden_act`; some are one function under several names.
pub(super) const ACTIVATIONS: [(&str, Activation); 13] = [
    ("gelu", Activation::Gelu),
    ("gelu_python", Activation::Gelu),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("gelu_python_tanh", Activation::GeluTanh),
    ("gelu_fast", Activation::GeluTanh),
    ("gelu_accurate", Activation::GeluTanh),
    ("relu", Activation::Relu),
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
    ("tanh", Activation::Tanh),
    ("sigmoid", Activation::Sigmoid),
    ("linear", Activation::Identity),
];

/// Returns the activation that a field names, GELU if it names none.
pub(super) fn activation_named(fields: &Fields<'_>, field: &str) -> Result<Activation, ModelError> {
    let name = if fields.present(field) { fields.text(field)? } else { "gelu" };
    let known = ACTIVATIONS.iter().find(|(known, _)| *known == name);
    known
        .map(|(_, activation)| *activation)
        .ok_or_else(|| fields.unsupported(format!("{field} `{name}`"), ACTIVATIONS.map(|(known, _)| known).join(", ")))
}
