//! Converting values between managed and native memory, by the descriptions of [`compiler::marshal`].
//!
//! [`values`] converts one value, [`calls`] all values of a call of native code, [`callbacks`] those of a call by native code. A native
//! value owns the memory that its conversion took; [`values::release`] frees it.

pub mod callbacks;
pub mod calls;
mod com_callbacks;
mod custom;
pub mod text;
pub mod values;

use crate::exceptions::Result;
use crate::runtime;
use compiler::marshal::layout::{NativeLayout, native_layout};
use compiler::marshal::signature::{NativeSignature, native_signature};
use il::types::{MethodId, TypeId};
use parking_lot::RwLock;
use rustc_hash::FxHashMap;
use std::hash::Hash;
use std::sync::Arc;

/// What was found out so far.
#[derive(Default)]
pub struct Marshalling {
    layouts: RwLock<FxHashMap<TypeId, Arc<NativeLayout>>>,
    signatures: RwLock<FxHashMap<MethodId, Arc<NativeSignature>>>,
    /// Functions that native code calls.
    pub callbacks: callbacks::Callbacks,
}

fn remembered<K: Copy + Eq + Hash, V>(
    known: &RwLock<FxHashMap<K, Arc<V>>>,
    key: K,
    make: impl FnOnce() -> il::Result<V>,
) -> Result<Arc<V>> {
    if let Some(value) = known.read().get(&key) {
        return Ok(value.clone());
    }
    let value = Arc::new(make()?);
    known.write().insert(key, value.clone());
    Ok(value)
}

/// The native layout of a structure or class.
pub fn layout(ty: TypeId) -> Result<Arc<NativeLayout>> {
    let runtime = runtime();
    remembered(&runtime.marshalling.layouts, ty, || native_layout(&runtime.types, ty))
}

/// The native signature of an imported method or of a delegate's `Invoke`.
pub fn signature(method: MethodId) -> Result<Arc<NativeSignature>> {
    let runtime = runtime();
    remembered(&runtime.marshalling.signatures, method, || native_signature(&runtime.types, method))
}
