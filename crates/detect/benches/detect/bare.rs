//! LiteRT called by hand, with nothing of ours around it, to compare with.

use std::ffi::{CString, c_char, c_void};
use std::path::Path;
use std::ptr;
use std::time::{Duration, Instant};

use edgefirst_tflite_sys::litert::{self as sys, LiteRtFunctions};
use edgefirst_tflite_sys::{discovery, tensorflowlite_c};

type CreateOpaqueOptions = unsafe extern "C" fn(
    *const c_char,
    *mut c_void,
    Option<unsafe extern "C" fn(*mut c_void)>,
    *mut *mut c_void,
) -> sys::Status;
type AddOpaqueOptions = unsafe extern "C" fn(sys::Options, *mut c_void) -> sys::Status;

/// A compiled model with its buffers; leaks them at the end, as the process ends then.
pub struct Bare {
    call: LiteRtFunctions,
    compiled: sys::CompiledModel,
    inputs: Vec<sys::TensorBuffer>,
    outputs: Vec<sys::TensorBuffer>,
    _library: &'static tensorflowlite_c,
}

fn check(status: sys::Status) {
    assert_eq!(status, sys::kLiteRtStatusOk);
}

impl Bare {
    /// Loads a model with one input.
    pub fn load(library: &Path, file: &'static [u8], threads: usize) -> Self {
        let library: &'static tensorflowlite_c =
            Box::leak(Box::new(discovery::load(library).unwrap()));
        let exports = library.library();
        // SAFETY: the library is LiteRT and is never closed; every handle below was just made by it
        // and is never given back; all out-parameters are valid, and `file` lives for ever.
        unsafe {
            let call = LiteRtFunctions::try_load(exports).unwrap();
            let create_opaque: CreateOpaqueOptions =
                *exports.get(b"LiteRtCreateOpaqueOptions\0").unwrap();
            let add_opaque: AddOpaqueOptions = *exports.get(b"LiteRtAddOpaqueOptions\0").unwrap();
            let mut environment = ptr::null_mut();
            check((call.create_environment)(
                0,
                ptr::null(),
                &raw mut environment,
            ));
            let mut model = ptr::null_mut();
            check((call.create_model_from_buffer)(
                environment,
                file.as_ptr().cast(),
                file.len(),
                &raw mut model,
            ));
            let mut options = ptr::null_mut();
            check((call.create_options)(&raw mut options));
            check((call.set_options_hardware_accelerators)(
                options,
                sys::kLiteRtHwAcceleratorCpu as sys::HwAcceleratorSet,
            ));
            let text = CString::new(format!("num_threads = {threads}\n")).unwrap();
            let mut opaque = ptr::null_mut();
            check(create_opaque(
                c"xnnpack".as_ptr(),
                libc::strdup(text.as_ptr()).cast(),
                Some(libc::free),
                &raw mut opaque,
            ));
            check(add_opaque(options, opaque));
            let mut compiled = ptr::null_mut();
            check((call.create_compiled_model)(
                environment,
                model,
                options,
                &raw mut compiled,
            ));
            let mut signature = ptr::null_mut();
            check((call.get_model_signature)(model, 0, &raw mut signature));
            let buffer = |tensor, requirements| {
                let mut kind: sys::RankedTensorType = std::mem::zeroed();
                check((call.get_ranked_tensor_type)(tensor, &raw mut kind));
                let mut buffer = ptr::null_mut();
                check((call.create_managed_tensor_buffer_from_requirements)(
                    environment,
                    &raw const kind,
                    requirements,
                    &raw mut buffer,
                ));
                buffer
            };
            let (mut tensor, mut needs) = (ptr::null_mut(), ptr::null_mut());
            check((call.get_signature_input_tensor_by_index)(
                signature,
                0,
                &raw mut tensor,
            ));
            check((call.get_compiled_model_input_buffer_requirements)(
                compiled,
                0,
                0,
                &raw mut needs,
            ));
            let inputs = vec![buffer(tensor, needs)];
            let mut count = 0;
            check((call.get_num_signature_outputs)(signature, &raw mut count));
            let outputs = (0..count)
                .map(|index| {
                    let (mut tensor, mut needs) = (ptr::null_mut(), ptr::null_mut());
                    check((call.get_signature_output_tensor_by_index)(
                        signature,
                        index,
                        &raw mut tensor,
                    ));
                    check((call.get_compiled_model_output_buffer_requirements)(
                        compiled,
                        0,
                        index,
                        &raw mut needs,
                    ));
                    buffer(tensor, needs)
                })
                .collect();
            Self {
                call,
                compiled,
                inputs,
                outputs,
                _library: library,
            }
        }
    }

    /// Writes pixels of the model's size, red, green and blue, into the input.
    pub fn write(&mut self, pixels: &[u8]) {
        let (mut size, mut address) = (0, ptr::null_mut());
        // SAFETY: the buffer is live and nothing else looks at it; the out-parameters are valid. The
        // library gives the address of `size` bytes, aligned for any number.
        unsafe {
            let buffer = self.inputs[0];
            check((self.call.get_tensor_buffer_size)(buffer, &raw mut size));
            let mode = sys::kLiteRtTensorBufferLockModeWrite;
            check((self.call.lock_tensor_buffer)(
                buffer,
                &raw mut address,
                mode,
            ));
            if size >= 4 * pixels.len() {
                let values = std::slice::from_raw_parts_mut(address.cast::<f32>(), pixels.len());
                for (value, &pixel) in values.iter_mut().zip(pixels) {
                    *value = (f32::from(pixel) - 127.5) / 127.5;
                }
            } else {
                assert!(size >= pixels.len());
                let values = std::slice::from_raw_parts_mut(address.cast::<u8>(), pixels.len());
                for (value, &pixel) in values.iter_mut().zip(pixels) {
                    // Minus 128, as a signed byte.
                    *value = pixel ^ 0x80;
                }
            }
            check((self.call.unlock_tensor_buffer)(buffer));
        }
    }

    /// Time of one inference.
    pub fn invoke(&mut self) -> Duration {
        let start = Instant::now();
        // SAFETY: the handles are live and none is mapped.
        let status = unsafe {
            (self.call.run_compiled_model)(
                self.compiled,
                0,
                self.inputs.len(),
                self.inputs.as_mut_ptr(),
                self.outputs.len(),
                self.outputs.as_mut_ptr(),
            )
        };
        let time = start.elapsed();
        check(status);
        time
    }
}
