//! The structures and requests of `linux/videodev2.h`, with the kernel's memory layout.

use std::ffi::{c_ulong, c_void};
use std::marker::PhantomData;
use std::mem;

/// Buffer type `V4L2_BUF_TYPE_VIDEO_CAPTURE`.
pub const VIDEO_CAPTURE: u32 = 1;
/// Memory type `V4L2_MEMORY_MMAP`.
pub const MEMORY_MMAP: u32 = 1;

pub const CAP_VIDEO_CAPTURE: u32 = 0x1;
pub const CAP_VIDEO_CAPTURE_MPLANE: u32 = 0x1000;
pub const CAP_VIDEO_M2M_MPLANE: u32 = 0x4000;
pub const CAP_VIDEO_M2M: u32 = 0x8000;
pub const CAP_META_CAPTURE: u32 = 0x80_0000;
pub const CAP_STREAMING: u32 = 0x400_0000;
pub const CAP_DEVICE_CAPS: u32 = 0x8000_0000;

pub const BUF_FLAG_ERROR: u32 = 0x40;
pub const BUF_FLAG_TIMESTAMP_MASK: u32 = 0xE000;
pub const BUF_FLAG_TIMESTAMP_MONOTONIC: u32 = 0x2000;

pub const CTRL_FLAG_DISABLED: u32 = 0x1;
pub const CTRL_FLAG_READ_ONLY: u32 = 0x4;
pub const CTRL_FLAG_INACTIVE: u32 = 0x10;
pub const CTRL_FLAG_WRITE_ONLY: u32 = 0x40;
pub const CTRL_FLAG_NEXT_CTRL: u32 = 0x8000_0000;

/// Quantization `V4L2_QUANTIZATION_FULL_RANGE`.
pub const FULL_RANGE: u32 = 1;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Capability {
    pub driver: [u8; 16],
    pub card: [u8; 32],
    pub bus_info: [u8; 32],
    pub version: u32,
    pub capabilities: u32,
    pub device_caps: u32,
    pub reserved: [u32; 3],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct FmtDesc {
    pub index: u32,
    pub kind: u32,
    pub flags: u32,
    pub description: [u8; 32],
    pub pixelformat: u32,
    pub mbus_code: u32,
    pub reserved: [u32; 3],
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct PixFormat {
    pub width: u32,
    pub height: u32,
    pub pixelformat: u32,
    pub field: u32,
    pub bytesperline: u32,
    pub sizeimage: u32,
    pub colorspace: u32,
    pub private: u32,
    pub flags: u32,
    pub ycbcr_enc: u32,
    pub quantization: u32,
    pub xfer_func: u32,
}

/// Union of the format structures that depend on the buffer type. The member `align` gives it the
/// alignment of a pointer, which other members have in the kernel's header.
#[repr(C)]
#[derive(Clone, Copy)]
pub union FormatUnion {
    pub pix: PixFormat,
    pub raw: [u8; 200],
    pub align: [*const c_void; 0],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Format {
    pub kind: u32,
    pub fmt: FormatUnion,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct CaptureParm {
    pub capability: u32,
    pub capturemode: u32,
    pub timeperframe: [u32; 2],
    pub extendedmode: u32,
    pub readbuffers: u32,
    pub reserved: [u32; 4],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct StreamParm {
    pub kind: u32,
    pub capture: CaptureParm,
    pub rest: [u8; 160],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct FrmSizeEnum {
    pub index: u32,
    pub pixelformat: u32,
    pub kind: u32,
    /// For a discrete size: width, height. For a stepwise one: min, max and step of the width, then
    /// of the height.
    pub size: [u32; 6],
    pub reserved: [u32; 2],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct FrmIvalEnum {
    pub index: u32,
    pub pixelformat: u32,
    pub width: u32,
    pub height: u32,
    pub kind: u32,
    /// For a discrete interval: numerator, denominator. For a stepwise one: min, max, step.
    pub interval: [[u32; 2]; 3],
    pub reserved: [u32; 2],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct RequestBuffers {
    pub count: u32,
    pub kind: u32,
    pub memory: u32,
    pub capabilities: u32,
    pub flags: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Buffer {
    pub index: u32,
    pub kind: u32,
    pub bytesused: u32,
    pub flags: u32,
    pub field: u32,
    pub timestamp: libc::timeval,
    pub timecode: [u32; 4],
    pub sequence: u32,
    pub memory: u32,
    /// A union in the kernel's header: the offset for `mmap`, or a pointer.
    pub offset: c_ulong,
    pub length: u32,
    pub reserved: u32,
    pub request_fd: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Control {
    pub id: u32,
    pub value: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct QueryCtrl {
    pub id: u32,
    pub kind: u32,
    pub name: [u8; 32],
    pub minimum: i32,
    pub maximum: i32,
    pub step: i32,
    pub default: i32,
    pub flags: u32,
    pub reserved: [u32; 2],
}

#[repr(C, packed)]
#[derive(Clone, Copy)]
pub struct QueryMenu {
    pub id: u32,
    pub index: u32,
    /// A union in the kernel's header: the item's name, or its value.
    pub name: [u8; 32],
    pub reserved: u32,
}

/// A structure that the kernel reads and fills in.
///
/// # Safety
///
/// The type must consist of integers, for which any bytes are valid, and must be laid out as in
/// `linux/videodev2.h` (the tests compare the sizes).
pub unsafe trait Argument: Copy {
    /// Returns a value of zeros, which the kernel expects in unused fields.
    fn zeroed() -> Self {
        // SAFETY: any bytes are valid, by the contract of the trait.
        unsafe { mem::zeroed() }
    }
}

macro_rules! arguments {
    ($($name:ty),+) => {$(
        // SAFETY: these types consist of integers only, and are laid out as in `linux/videodev2.h`.
        unsafe impl Argument for $name {}
    )+};
}

arguments!(
    Capability,
    FmtDesc,
    Format,
    StreamParm,
    FrmSizeEnum,
    FrmIvalEnum,
    RequestBuffers,
    Buffer,
    Control,
    QueryCtrl,
    QueryMenu,
    u32
);

/// Code of an ioctl request, together with the type of its argument.
pub struct Request<T>(pub u32, PhantomData<T>);

/// Computes a request code for the letter `V`, as `_IOC` of `asm-generic/ioctl.h` does: direction,
/// size, letter, number.
pub const fn request<T>(direction: u32, number: u32) -> Request<T> {
    let size = mem::size_of::<T>() as u32;
    Request(
        direction << 30 | size << 16 | (b'V' as u32) << 8 | number,
        PhantomData,
    )
}

pub const WRITE: u32 = 1;
pub const READ: u32 = 2;
pub const BOTH: u32 = READ | WRITE;

pub const QUERYCAP: Request<Capability> = request(READ, 0);
pub const ENUM_FMT: Request<FmtDesc> = request(BOTH, 2);
pub const S_FMT: Request<Format> = request(BOTH, 5);
pub const REQBUFS: Request<RequestBuffers> = request(BOTH, 8);
pub const QUERYBUF: Request<Buffer> = request(BOTH, 9);
pub const QBUF: Request<Buffer> = request(BOTH, 15);
pub const DQBUF: Request<Buffer> = request(BOTH, 17);
pub const STREAMON: Request<u32> = request(WRITE, 18);
pub const STREAMOFF: Request<u32> = request(WRITE, 19);
pub const S_PARM: Request<StreamParm> = request(BOTH, 22);
pub const G_CTRL: Request<Control> = request(BOTH, 27);
pub const S_CTRL: Request<Control> = request(BOTH, 28);
pub const QUERYCTRL: Request<QueryCtrl> = request(BOTH, 36);
pub const QUERYMENU: Request<QueryMenu> = request(BOTH, 37);
pub const ENUM_FRAMESIZES: Request<FrmSizeEnum> = request(BOTH, 74);
pub const ENUM_FRAMEINTERVALS: Request<FrmIvalEnum> = request(BOTH, 75);

#[cfg(test)]
#[cfg(target_pointer_width = "64")]
mod tests {
    use super::*;

    /// A C program that includes `linux/videodev2.h` prints these codes, which contain the sizes.
    #[test]
    fn request_codes_match_the_kernels() {
        assert_eq!(QUERYCAP.0, 0x8068_5600);
        assert_eq!(ENUM_FMT.0, 0xC040_5602);
        assert_eq!(S_FMT.0, 0xC0D0_5605);
        assert_eq!(REQBUFS.0, 0xC014_5608);
        assert_eq!(QUERYBUF.0, 0xC058_5609);
        assert_eq!(QBUF.0, 0xC058_560F);
        assert_eq!(DQBUF.0, 0xC058_5611);
        assert_eq!(STREAMON.0, 0x4004_5612);
        assert_eq!(STREAMOFF.0, 0x4004_5613);
        assert_eq!(S_PARM.0, 0xC0CC_5616);
        assert_eq!(G_CTRL.0, 0xC008_561B);
        assert_eq!(S_CTRL.0, 0xC008_561C);
        assert_eq!(QUERYCTRL.0, 0xC044_5624);
        assert_eq!(QUERYMENU.0, 0xC02C_5625);
        assert_eq!(ENUM_FRAMESIZES.0, 0xC02C_564A);
        assert_eq!(ENUM_FRAMEINTERVALS.0, 0xC034_564B);
    }

    #[test]
    fn fields_after_padding_have_the_kernels_offsets() {
        assert_eq!(mem::offset_of!(Format, fmt), 8);
        assert_eq!(mem::offset_of!(Buffer, offset), 64);
        assert_eq!(mem::size_of::<PixFormat>(), 48);
    }
}
