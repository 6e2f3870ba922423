//! AMX, the matrix unit of Intel's CPUs since 2023: one instruction adds 16 x 16 sums of 32 products of bf16 each.
//!
//! The standard library has no such instructions yet, so they are written as they are. Everything unsafe is in here.

use super::element::{Pair, TILE};
use super::packed::PANEL;
use super::unit::{ROWS, Sums, Unit};
use std::arch::asm;
use std::arch::x86_64::__cpuid_count;
use std::sync::OnceLock;

/// Bytes from a tile's row to the next in a panel, and in the sums.
const ROW_BYTES: usize = 4 * PANEL;

/// Proof that this CPU has AMX and that the system lets the process use it.
#[derive(Clone, Copy, Debug)]
pub struct Amx(());

impl Amx {
    pub fn detect() -> Option<Amx> {
        static THERE: OnceLock<bool> = OnceLock::new();
        THERE.get_or_init(granted).then_some(Amx(()))
    }
}

/// All eight tiles have 16 rows of 64 bytes.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes: [u16; 16],
    rows: [u8; 16],
}

/// The calling thread's tiles, in use.
pub(super) struct Session(());

/// Whether the CPU has AMX for bf16, and Linux lets the process use its tiles, for which it must be asked.
fn granted() -> bool {
    const ARCH_PRCTL: u64 = 158;
    const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
    const TILE_DATA: u64 = 18;
    const BF16_AND_TILES: u32 = 1 << 22 | 1 << 24;
    if __cpuid_count(0, 0).eax < 7 || __cpuid_count(7, 0).edx & BF16_AND_TILES != BF16_AND_TILES {
        return false;
    }
    let result: u64;
    // SAFETY: the call takes two numbers, touches no memory, and fails where the kernel does not know it.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") TILE_DATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result == 0
}

impl Unit for Amx {
    type Session = Session;

    fn begin(self) -> Session {
        let mut shapes =
            Shapes { palette: 1, start_row: 0, reserved: [0; 14], bytes: [0; 16], rows: [0; 16] };
        shapes.bytes[..8].fill(ROW_BYTES as u16);
        shapes.rows[..8].fill(TILE as u8);
        // SAFETY: the unit is there, and these are shapes that it has; the compiler uses no tiles of its own.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &shapes, options(nostack, readonly)) };
        Session(())
    }

    fn sums(_: &Session, a: &[Pair], b: &[Pair], k: usize, sums: &mut Sums) {
        assert!(k > 0 && k.is_multiple_of(TILE) && a.len() == ROWS * k, "a step's rows");
        let a_row_bytes = 4 * k;
        let (low, high) = a.split_at(TILE * k);
        // of one panel the sums are computed twice: only the last of a matrix is ever alone
        let (left, rest) = b.split_at(k * PANEL);
        let right = if rest.is_empty() { left } else { rest };
        assert!(right.len() == k * PANEL, "a step's panels");
        // SAFETY: each step reads 16 rows of 16 pairs of each operand, of which there are k / 16; the sums are four tiles,
        // one after the other.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                "tileloadd tmm4, [{low} + {a_row}*1]",
                "tileloadd tmm6, [{left} + {b_row}*1]",
                "tileloadd tmm7, [{right} + {b_row}*1]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tileloadd tmm5, [{high} + {a_row}*1]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {low}, 64",
                "add {high}, 64",
                "add {left}, 1024",
                "add {right}, 1024",
                "dec {steps}",
                "jnz 2b",
                "tilestored [{sums} + {b_row}*1], tmm0",
                "tilestored [{sums} + {b_row}*1 + 1024], tmm1",
                "tilestored [{sums} + {b_row}*1 + 2048], tmm2",
                "tilestored [{sums} + {b_row}*1 + 3072], tmm3",
                low = inout(reg) low.as_ptr() => _,
                high = inout(reg) high.as_ptr() => _,
                left = inout(reg) left.as_ptr() => _,
                right = inout(reg) right.as_ptr() => _,
                steps = inout(reg) k / TILE => _,
                a_row = in(reg) a_row_bytes,
                b_row = in(reg) ROW_BYTES,
                sums = in(reg) sums.0.as_mut_ptr(),
                options(nostack),
            );
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: gives the tiles' state back; nothing is left in them.
        unsafe { asm!("tilerelease", options(nomem, nostack)) };
    }
}
