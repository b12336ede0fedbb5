//! From a model to a compiled one with buffers for its inputs and outputs.

use std::collections::BTreeSet;
use std::ptr;

use edgefirst_tflite_sys::litert as sys;

use super::handles::{Buffer, Handles};
use super::library::Runtime;
use super::status::check;
use crate::engine::interface::MAX_OUTPUTS;
use crate::model::Model;

/// A model compiled by LiteRT, with the buffers of its inputs and outputs.
pub struct Compiled {
    pub handles: Handles,
    pub input: Buffer,
    pub outputs: Vec<Buffer>,
    /// The outputs' handles in the order of the signature, as an inference takes them.
    pub output_handles: Vec<sys::TensorBuffer>,
    pub output_shapes: Vec<Vec<usize>>,
    /// What the model reads from, so it comes after the handles.
    _file: Box<[u8]>,
}

/// Compiles a model for so many threads; the error says what LiteRT does not like.
pub fn compile(
    runtime: &'static Runtime,
    file: Box<[u8]>,
    model: &Model,
    threads: usize,
) -> Result<Compiled, String> {
    let call = &runtime.call;
    let mut loading = Handles {
        runtime,
        model: ptr::null_mut(),
        options: ptr::null_mut(),
        compiled: ptr::null_mut(),
        buffers: Vec::new(),
    };
    // SAFETY: `file` outlives the model: both end up in `Compiled`, where it is dropped last, and
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
    loading.drop_options();
    Ok(Compiled {
        handles: loading,
        input,
        outputs,
        output_handles,
        output_shapes,
        _file: file,
    })
}

/// Ends of a graph are found by their names: two alike make the runtime throw.
pub fn check_names(model: &Model) -> Result<(), String> {
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

impl Handles {
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
