//! LiteRT, whose library is opened at run time; the only file that names `edgefirst_tflite_sys`.
//!
//! A library that was opened stays open, with its environment, for the life of the process:
//! closing it while its threads wind down can crash.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{c_char, c_void};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Mutex, PoisonError};

use edgefirst_tflite_sys::discovery;
use edgefirst_tflite_sys::litert::{self as sys, LiteRtFunctions};
use edgefirst_tflite_sys::tensorflowlite_c;

use super::{Engine, EngineError, MAX_OUTPUTS, TensorMut, TensorRef};
use crate::detect::model::{ElementType, Model};

/// What people call it.
pub const NAME: &str = "LiteRT";

/// The library's file name.
pub const LIBRARY: &str = "libLiteRt.so";

/// An opened library with its environment.
struct Runtime {
    call: LiteRtFunctions,
    extra: ExtraFunctions,
    environment: sys::Environment,
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
struct ExtraFunctions {
    create_opaque_options: unsafe extern "C" fn(
        identifier: *const c_char,
        payload: *mut c_void,
        destructor: Option<unsafe extern "C" fn(*mut c_void)>,
        options: *mut *mut c_void,
    ) -> sys::Status,
    add_opaque_options:
        unsafe extern "C" fn(options: sys::Options, opaque: *mut c_void) -> sys::Status,
    get_tensor_index: unsafe extern "C" fn(tensor: sys::Tensor, index: *mut u32) -> sys::Status,
}

/// Libraries opened so far, by path.
static RUNTIMES: Mutex<BTreeMap<PathBuf, &'static Runtime>> = Mutex::new(BTreeMap::new());

fn library_error(path: &Path, reason: impl std::fmt::Display) -> EngineError {
    EngineError::Library(format!("cannot use LiteRT in {}: {reason}", path.display()))
}

fn load_error(reason: impl Into<String>) -> EngineError {
    EngineError::Load {
        engine: NAME,
        reason: reason.into(),
    }
}

/// Turns a status into an error that names the function.
fn check(status: sys::Status, function: &str) -> Result<(), String> {
    if status == sys::kLiteRtStatusOk {
        Ok(())
    } else {
        Err(format!("{function} gives status {status}"))
    }
}

impl Runtime {
    /// Opens the library at `path`, or finds it open already.
    fn open(path: &Path) -> Result<&'static Self, EngineError> {
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
/// accelerator that it does not find.
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

/// A model compiled by LiteRT, with the buffers of its inputs and outputs.
pub struct LiteRt {
    runtime: &'static Runtime,
    model: sys::Model,
    compiled: sys::CompiledModel,
    input: Buffer,
    outputs: Vec<Buffer>,
    /// The outputs' handles in the order of the signature, as an inference takes them.
    output_handles: Vec<sys::TensorBuffer>,
    output_shapes: Vec<Vec<usize>>,
    threads: usize,
    /// What `model` reads from.
    _file: Box<[u8]>,
}

// SAFETY: the handles have no thread affinity, and `&mut self` is needed for whatever changes them.
unsafe impl Send for LiteRt {}

#[derive(Clone, Copy)]
struct Buffer {
    handle: sys::TensorBuffer,
    element: ElementType,
    /// Bytes of the tensor, at most those of the buffer.
    bytes: usize,
}

/// Handles that are given back when loading ends early.
struct Loading {
    runtime: &'static Runtime,
    model: sys::Model,
    options: sys::Options,
    compiled: sys::CompiledModel,
    buffers: Vec<sys::TensorBuffer>,
}

impl Drop for Loading {
    fn drop(&mut self) {
        let call = &self.runtime.call;
        // SAFETY: each handle was created by this runtime, is given back once, and nothing that
        // uses it is left when its turn comes.
        unsafe {
            for &buffer in &self.buffers {
                (call.destroy_tensor_buffer)(buffer);
            }
            if !self.compiled.is_null() {
                (call.destroy_compiled_model)(self.compiled);
            }
            if !self.options.is_null() {
                (call.destroy_options)(self.options);
            }
            if !self.model.is_null() {
                (call.destroy_model)(self.model);
            }
        }
    }
}

impl LiteRt {
    /// Loads a model that was read from `file` with the library at `library`.
    ///
    /// # Errors
    ///
    /// [`EngineError::Library`] if the library cannot be used, [`EngineError::Load`] if it refuses
    /// the model.
    pub fn load(
        library: &Path,
        file: &[u8],
        model: &Model,
        threads: usize,
    ) -> Result<Self, EngineError> {
        let runtime = Runtime::open(library)?;
        check_names(model).map_err(load_error)?;
        Self::load_with(runtime, file.into(), model, threads).map_err(load_error)
    }

    fn load_with(
        runtime: &'static Runtime,
        file: Box<[u8]>,
        model: &Model,
        threads: usize,
    ) -> Result<Self, String> {
        let call = &runtime.call;
        let mut loading = Loading {
            runtime,
            model: ptr::null_mut(),
            options: ptr::null_mut(),
            compiled: ptr::null_mut(),
            buffers: Vec::new(),
        };
        // SAFETY: `file` outlives the model: both end up in `Self`, where it is dropped last, and
        // `loading` is dropped before this function's argument.
        let status = unsafe {
            (call.create_model_from_buffer)(
                runtime.environment,
                file.as_ptr().cast(),
                file.len(),
                &raw mut loading.model,
            )
        };
        check(status, "LiteRtCreateModelFromBuffer")?;
        loading.create_options(threads)?;
        // SAFETY: all handles are live, the out-parameter is valid.
        let status = unsafe {
            (call.create_compiled_model)(
                runtime.environment,
                loading.model,
                loading.options,
                &raw mut loading.compiled,
            )
        };
        check(status, "LiteRtCreateCompiledModel")?;

        let mut signature = ptr::null_mut();
        // SAFETY: the model is live; a model without signatures is given one by the runtime.
        let status = unsafe { (call.get_model_signature)(loading.model, 0, &raw mut signature) };
        check(status, "LiteRtGetModelSignature")?;
        let &[input] = model.inputs.as_slice() else {
            return Err(format!("it has {} inputs, expected 1", model.inputs.len()));
        };
        let (input_tensors, output_tensors) = loading.signature_tensors(signature)?;
        if input_tensors.len() != 1 || output_tensors.len() != model.outputs.len() {
            return Err(format!(
                "its signature has {} inputs and {} outputs, its graph 1 and {}",
                input_tensors.len(),
                output_tensors.len(),
                model.outputs.len()
            ));
        }
        let (input, _) = loading.create_buffer(Side::Input, 0, input_tensors[0], model, input)?;
        let mut outputs = vec![None; model.outputs.len()];
        let mut output_handles = Vec::new();
        for (position, &tensor) in output_tensors.iter().enumerate() {
            let index = loading.tensor_index(tensor)?;
            let place = model
                .outputs
                .iter()
                .position(|&output| output == index)
                .ok_or_else(|| format!("its signature has tensor {index} as an output"))?;
            let (buffer, shape) =
                loading.create_buffer(Side::Output, position, tensor, model, index)?;
            output_handles.push(buffer.handle);
            if let Some(output) = outputs.get_mut(place) {
                *output = Some((buffer, shape));
            }
        }
        let (outputs, output_shapes) = outputs
            .into_iter()
            .collect::<Option<Vec<_>>>()
            .ok_or("its signature has an output twice")?
            .into_iter()
            .unzip();
        let (model, compiled) = (loading.model, loading.compiled);
        // From here on `Self` gives these back.
        (loading.model, loading.compiled) = (ptr::null_mut(), ptr::null_mut());
        loading.buffers.clear();
        Ok(Self {
            runtime,
            model,
            compiled,
            input,
            outputs,
            output_handles,
            output_shapes,
            threads,
            _file: file,
        })
    }
}

/// Ends of a graph are found by their names: two alike make the runtime throw.
fn check_names(model: &Model) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for &index in model.inputs.iter().chain(&model.outputs) {
        let name = model.tensors.get(index).map(|tensor| &tensor.name);
        if !names.insert(name) {
            return Err(format!(
                "two of its inputs and outputs are called {:?}",
                name.map_or("", String::as_str)
            ));
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Input,
    Output,
}

impl Loading {
    /// The processor alone, with XNNPACK's number of threads.
    fn create_options(&mut self, threads: usize) -> Result<(), String> {
        let call = &self.runtime.call;
        // SAFETY: the out-parameter is valid.
        let status = unsafe { (call.create_options)(&raw mut self.options) };
        check(status, "LiteRtCreateOptions")?;
        // SAFETY: the options are live.
        let status = unsafe {
            (call.set_options_hardware_accelerators)(
                self.options,
                sys::kLiteRtHwAcceleratorCpu as sys::HwAcceleratorSet,
            )
        };
        check(status, "LiteRtSetOptionsHardwareAccelerators")?;

        // The runtime reads these as TOML when it compiles the model, and frees them by our
        // function, so they are allocated by the C library.
        let text = std::ffi::CString::new(format!("num_threads = {threads}\n"))
            .map_err(|err| err.to_string())?;
        // SAFETY: `text` is a C string; its copy is freed by `libc::free` alone.
        let payload = unsafe { libc::strdup(text.as_ptr()) };
        if payload.is_null() {
            return Err("no memory".into());
        }
        let mut opaque = ptr::null_mut();
        // SAFETY: identifier and payload are C strings; the payload now belongs to the options.
        let status = unsafe {
            (self.runtime.extra.create_opaque_options)(
                c"xnnpack".as_ptr(),
                payload.cast(),
                Some(libc::free),
                &raw mut opaque,
            )
        };
        check(status, "LiteRtCreateOpaqueOptions")?;
        // SAFETY: both are live; the opaque options now belong to the options.
        let status = unsafe { (self.runtime.extra.add_opaque_options)(self.options, opaque) };
        check(status, "LiteRtAddOpaqueOptions")
    }

    /// Inputs and outputs of a signature in its own order, which may differ from the graph's.
    fn signature_tensors(
        &self,
        signature: sys::Signature,
    ) -> Result<(Vec<sys::Tensor>, Vec<sys::Tensor>), String> {
        let call = &self.runtime.call;
        let (mut inputs, mut outputs) = (0, 0);
        // SAFETY: the signature belongs to the live model; the out-parameters are valid.
        let status = unsafe { (call.get_num_signature_inputs)(signature, &raw mut inputs) };
        check(status, "LiteRtGetNumSignatureInputs")?;
        // SAFETY: as above.
        let status = unsafe { (call.get_num_signature_outputs)(signature, &raw mut outputs) };
        check(status, "LiteRtGetNumSignatureOutputs")?;
        if outputs > MAX_OUTPUTS || inputs > MAX_OUTPUTS {
            return Err(format!(
                "it has {inputs} inputs and {outputs} outputs, expected at most {MAX_OUTPUTS}"
            ));
        }
        let tensor = |side, index| {
            let mut tensor = ptr::null_mut();
            // SAFETY: the signature is live and `index` below the count it gave.
            let status = unsafe {
                match side {
                    Side::Input => (call.get_signature_input_tensor_by_index)(
                        signature,
                        index,
                        &raw mut tensor,
                    ),
                    Side::Output => (call.get_signature_output_tensor_by_index)(
                        signature,
                        index,
                        &raw mut tensor,
                    ),
                }
            };
            check(status, "LiteRtGetSignatureTensorByIndex").map(|()| tensor)
        };
        Ok((
            (0..inputs)
                .map(|index| tensor(Side::Input, index))
                .collect::<Result<_, _>>()?,
            (0..outputs)
                .map(|index| tensor(Side::Output, index))
                .collect::<Result<_, _>>()?,
        ))
    }

    /// The tensor's index in the file.
    fn tensor_index(&self, tensor: sys::Tensor) -> Result<usize, String> {
        let mut index = 0;
        // SAFETY: the tensor belongs to the live model; the out-parameter is valid.
        let status = unsafe { (self.runtime.extra.get_tensor_index)(tensor, &raw mut index) };
        check(status, "LiteRtGetTensorIndex")?;
        Ok(index as usize)
    }

    /// A buffer for the input or output at `position` of the signature, which is `index` in the
    /// file; and its shape.
    fn create_buffer(
        &mut self,
        side: Side,
        position: usize,
        tensor: sys::Tensor,
        model: &Model,
        index: usize,
    ) -> Result<(Buffer, Vec<usize>), String> {
        let call = &self.runtime.call;
        // SAFETY: a plain struct of numbers, for which zeros are valid.
        let mut kind: sys::RankedTensorType = unsafe { std::mem::zeroed() };
        // SAFETY: the tensor belongs to the live model; the out-parameter is valid.
        let status = unsafe { (call.get_ranked_tensor_type)(tensor, &raw mut kind) };
        check(status, "LiteRtGetRankedTensorType")?;
        let file = model
            .tensors
            .get(index)
            .ok_or_else(|| format!("its tensor {index} does not exist"))?;
        let mut handle = ptr::null_mut();
        if kind.layout.rank() == 0 && !file.shape.is_empty() {
            // Old exports leave the shapes of the last operator's outputs to it: the runtime asks
            // for an empty buffer then, but takes one of the right size.
            kind.layout.set_rank(file.shape.len() as u32);
            for (size, &known) in kind.layout.dimensions.iter_mut().zip(&file.shape) {
                *size = i32::try_from(known).unwrap_or(i32::MAX);
            }
            let size = file.element.bytes(file.count()).unwrap_or_default();
            // SAFETY: all are live, the out-parameter is valid.
            let status = unsafe {
                (call.create_managed_tensor_buffer)(
                    self.runtime.environment,
                    sys::kLiteRtTensorBufferTypeHostMemory,
                    &raw const kind,
                    size,
                    &raw mut handle,
                )
            };
            check(status, "LiteRtCreateManagedTensorBuffer")?;
        } else {
            let mut requirements = ptr::null_mut();
            let get = match side {
                Side::Input => call.get_compiled_model_input_buffer_requirements,
                Side::Output => call.get_compiled_model_output_buffer_requirements,
            };
            // SAFETY: the compiled model is live; the requirements belong to it.
            let status = unsafe { get(self.compiled, 0, position, &raw mut requirements) };
            check(status, "LiteRtGetCompiledModelBufferRequirements")?;
            // SAFETY: all are live, the out-parameter is valid.
            let status = unsafe {
                (call.create_managed_tensor_buffer_from_requirements)(
                    self.runtime.environment,
                    &raw const kind,
                    requirements,
                    &raw mut handle,
                )
            };
            check(status, "LiteRtCreateManagedTensorBufferFromRequirements")?;
        }
        self.buffers.push(handle);
        let mut size = 0;
        // SAFETY: the buffer is live; the out-parameter is valid.
        let status = unsafe { (call.get_tensor_buffer_size)(handle, &raw mut size) };
        check(status, "LiteRtGetTensorBufferSize")?;

        let rank = kind.layout.rank() as usize;
        let shape = kind
            .layout
            .dimensions
            .get(..rank)
            .unwrap_or_default()
            .iter()
            .map(|&size| usize::try_from(size).unwrap_or(1))
            .collect::<Vec<_>>();
        let element = file.element;
        let bytes = element
            .bytes(shape.iter().product())
            .filter(|&bytes| bytes <= size)
            .ok_or_else(|| {
                format!(
                    "tensor {index} is {} {shape:?} but its buffer has {size} bytes",
                    element.name()
                )
            })?;
        Ok((
            Buffer {
                handle,
                element,
                bytes,
            },
            shape,
        ))
    }
}

impl Drop for LiteRt {
    fn drop(&mut self) {
        drop(Loading {
            runtime: self.runtime,
            model: self.model,
            options: ptr::null_mut(),
            compiled: self.compiled,
            buffers: self
                .output_handles
                .drain(..)
                .chain([self.input.handle])
                .collect(),
        });
    }
}

/// A buffer mapped into our memory; unmapped on drop.
struct Mapping<'a> {
    call: &'a LiteRtFunctions,
    buffer: Buffer,
    address: *mut u8,
}

impl<'a> Mapping<'a> {
    fn new(
        call: &'a LiteRtFunctions,
        buffer: Buffer,
        mode: sys::TensorBufferLockMode,
    ) -> Result<Self, EngineError> {
        let mut address = ptr::null_mut();
        // SAFETY: the buffer is live, the out-parameter is valid.
        let status = unsafe { (call.lock_tensor_buffer)(buffer.handle, &raw mut address, mode) };
        check(status, "LiteRtLockTensorBuffer").map_err(run_error)?;
        let mapping = Self {
            call,
            buffer,
            address: address.cast(),
        };
        if mapping.address.is_null() {
            return Err(run_error("LiteRtLockTensorBuffer gives no address"));
        }
        Ok(mapping)
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the lock gave the address of the whole buffer, of which `create_buffer` checked
        // that it holds the tensor; it stays there, unwritten, until the mapping is dropped.
        unsafe { std::slice::from_raw_parts(self.address, self.buffer.bytes) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; and a buffer is mapped once at a time, by `&mut self` methods.
        unsafe { std::slice::from_raw_parts_mut(self.address, self.buffer.bytes) }
    }
}

impl Drop for Mapping<'_> {
    fn drop(&mut self) {
        // SAFETY: the buffer was locked by `new` and is unlocked once.
        // Nothing can be done about a failure; the next lock reports it.
        let _ = unsafe { (self.call.unlock_tensor_buffer)(self.buffer.handle) };
    }
}

fn run_error(reason: impl Into<String>) -> EngineError {
    EngineError::Run {
        engine: NAME,
        reason: reason.into(),
    }
}

impl Engine for LiteRt {
    fn name(&self) -> &'static str {
        NAME
    }

    fn accelerator(&self) -> String {
        match self.threads {
            1 => "XNNPACK (1 thread)".into(),
            threads => format!("XNNPACK ({threads} threads)"),
        }
    }

    fn output_shapes(&self) -> &[Vec<usize>] {
        &self.output_shapes
    }

    fn write_input(&mut self, write: &mut dyn FnMut(TensorMut<'_>)) -> Result<(), EngineError> {
        let mode = sys::kLiteRtTensorBufferLockModeWrite;
        let mut mapping = Mapping::new(&self.runtime.call, self.input, mode)?;
        let element = self.input.element;
        let tensor = TensorMut::new(element, mapping.bytes_mut())
            .ok_or_else(|| run_error("the input tensor cannot be written"))?;
        write(tensor);
        Ok(())
    }

    fn invoke(&mut self) -> Result<(), EngineError> {
        // SAFETY: the compiled model and its buffers are live, none is mapped (mappings end within
        // the methods that make them), and there are as many as its signature has.
        let status = unsafe {
            (self.runtime.call.run_compiled_model)(
                self.compiled,
                0,
                1,
                &raw mut self.input.handle,
                self.output_handles.len(),
                self.output_handles.as_mut_ptr(),
            )
        };
        check(status, "LiteRtRunCompiledModel").map_err(run_error)
    }

    fn read_outputs(&mut self, read: &mut dyn FnMut(&[TensorRef<'_>])) -> Result<(), EngineError> {
        let mode = sys::kLiteRtTensorBufferLockModeRead;
        let mut mappings: [Option<Mapping<'_>>; MAX_OUTPUTS] = [const { None }; MAX_OUTPUTS];
        for (mapping, &buffer) in mappings.iter_mut().zip(&self.outputs) {
            *mapping = Some(Mapping::new(&self.runtime.call, buffer, mode)?);
        }
        let mut tensors = [TensorRef::U8(&[]); MAX_OUTPUTS];
        for (tensor, mapping) in tensors.iter_mut().zip(mappings.iter().flatten()) {
            *tensor = TensorRef::new(mapping.buffer.element, mapping.bytes())
                .ok_or_else(|| run_error("an output tensor cannot be read"))?;
        }
        read(tensors.get(..self.outputs.len()).unwrap_or_default());
        Ok(())
    }
}
