//! LiteRT's library: opened once, kept open, with the functions that we call.

use std::collections::BTreeMap;
use std::ffi::{c_char, c_void};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Mutex, PoisonError};

use edgefirst_tflite_sys::discovery;
use edgefirst_tflite_sys::litert::{self as sys, LiteRtFunctions};
use edgefirst_tflite_sys::tensorflowlite_c;

use super::status::check;
use crate::engine::interface::EngineError;

/// An opened library with its environment.
pub struct Runtime {
    pub call: LiteRtFunctions,
    pub extra: ExtraFunctions,
    pub environment: sys::Environment,
    /// Keeps the functions' code in memory.
    _library: tensorflowlite_c,
}

// SAFETY: the function pointers may be called from any thread, and the environment is only read
// once it was created, as LiteRT documents.
unsafe impl Send for Runtime {}
// SAFETY: as above.
unsafe impl Sync for Runtime {}

/// Functions that the library exports but the bindings do not list.
#[derive(Clone, Copy)]
pub struct ExtraFunctions {
    pub create_opaque_options: unsafe extern "C" fn(
        identifier: *const c_char,
        payload: *mut c_void,
        destructor: Option<unsafe extern "C" fn(*mut c_void)>,
        options: *mut *mut c_void,
    ) -> sys::Status,
    pub add_opaque_options:
        unsafe extern "C" fn(options: sys::Options, opaque: *mut c_void) -> sys::Status,
    pub get_tensor_index: unsafe extern "C" fn(tensor: sys::Tensor, index: *mut u32) -> sys::Status,
}

/// Libraries opened so far, by path.
static RUNTIMES: Mutex<BTreeMap<PathBuf, &'static Runtime>> = Mutex::new(BTreeMap::new());

fn library_error(path: &Path, reason: impl std::fmt::Display) -> EngineError {
    EngineError::Library(format!("cannot use LiteRT in {}: {reason}", path.display()))
}

impl Runtime {
    /// Opens the library at `path`, or finds it open already.
    pub fn open(path: &Path) -> Result<&'static Self, EngineError> {
        let path = path
            .canonicalize()
            .map_err(|err| library_error(path, err))?;
        let mut runtimes = RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = runtimes.get(&path) {
            return Ok(runtime);
        }
        let runtime = Box::leak(Box::new(Self::load(&path)?));
        runtimes.insert(path, runtime);
        Ok(runtime)
    }

    fn load(path: &Path) -> Result<Self, EngineError> {
        let library = discovery::load(path).map_err(|err| library_error(path, err))?;
        // SAFETY: the library stays loaded as long as the functions, in the same struct, which is
        // never dropped once it was opened. That it is LiteRT if it has LiteRT's functions is what
        // the user answers for by putting it there.
        let call = unsafe { LiteRtFunctions::try_load(library.library()) }
            .map_err(|err| library_error(path, err))?;
        let missing = |err| library_error(path, err);
        let exports = library.library();
        // SAFETY: the signatures are those of LiteRT's C headers (litert_opaque_options.h,
        // litert_options.h, litert_model.h); the library stays loaded as above.
        let extra = unsafe {
            ExtraFunctions {
                create_opaque_options: *exports
                    .get(b"LiteRtCreateOpaqueOptions\0")
                    .map_err(missing)?,
                add_opaque_options: *exports.get(b"LiteRtAddOpaqueOptions\0").map_err(missing)?,
                get_tensor_index: *exports.get(b"LiteRtGetTensorIndex\0").map_err(missing)?,
            }
        };
        let environment = create_environment(&call).map_err(|err| library_error(path, err))?;
        Ok(Self {
            call,
            extra,
            environment,
            _library: library,
        })
    }
}

/// Creates an environment that prints errors only: LiteRT tells standard error about every
/// accelerator that it does not find. One line remains, `INFO: Created TensorFlow Lite XNNPACK
/// delegate for CPU`: it comes from TensorFlow Lite's own logger, which the library does not export.
fn create_environment(call: &LiteRtFunctions) -> Result<sys::Environment, String> {
    /// `kLiteRtEnvOptionTagMinLoggerSeverity`.
    const MIN_SEVERITY: u32 = 25;
    /// `kLiteRtAnyTypeInt`.
    const INT: u32 = 2;
    /// `LITERT_ERROR`.
    const ERROR: i64 = 3;

    // SAFETY: a plain struct of numbers, for which zeros are valid.
    let mut quiet: sys::EnvOption = unsafe { std::mem::zeroed() };
    quiet.tag = MIN_SEVERITY;
    quiet.value.type_ = INT;
    quiet.value.__bindgen_anon_1.int_value = ERROR;
    let mut environment = ptr::null_mut();
    // SAFETY: one option is passed, which is only read; the out-parameter is valid.
    let status = unsafe { (call.create_environment)(1, &raw const quiet, &raw mut environment) };
    if status == sys::kLiteRtStatusOk {
        return Ok(environment);
    }
    // A library that does not know the option.
    // SAFETY: no options are passed; the out-parameter is valid.
    let status = unsafe { (call.create_environment)(0, ptr::null(), &raw mut environment) };
    check(status, "LiteRtCreateEnvironment").map(|()| environment)
}
