//! The bytes of a pickle as operations, each with its argument; protocols 2 to 5 as Python writes them.

use super::{PickleError, refuse};

pub(super) const PROTO: u8 = 0x80;
const HIGHEST_PROTOCOL: u8 = 5;
/// Longest module or class name: what is longer is no name.
const MAX_GLOBAL: usize = 256;

/// One step of the machine. Texts and bytes are slices of the pickle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operation<'a> {
    Nothing,
    Stop,
    Mark,
    Pop,
    PopMark,
    Duplicate,
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// Module and name on lines of their own
    Global(&'a str, &'a str),
    /// Module and name on the stack
    StackGlobal,
    PersistentId,
    EmptyTuple,
    /// The last 1 to 3 objects
    TupleOf(usize),
    Tuple,
    EmptyList,
    List,
    Append,
    Appends,
    EmptyDict,
    Dict,
    SetItem,
    SetItems,
    EmptySet,
    FrozenSet,
    AddItems,
    Get(u32),
    Put(u32),
    Memoize,
    /// Callable and its arguments on the stack
    Call,
    /// The same of protocol 1: class and arguments above a mark
    CallMarked,
    /// The same of protocol 0: class on lines, arguments above a mark
    CallNamed(&'a str, &'a str),
    Build,
}

/// A pickle and the place that has been read to.
pub(super) struct Reader<'a> {
    pickle: &'a [u8],
    pub at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(pickle: &'a [u8]) -> Self {
        Reader { pickle, at: 0 }
    }

    pub fn next(&mut self) -> Result<Operation<'a>, PickleError> {
        let [code] = self.take()?;
        Ok(match code {
            b'.' => Operation::Stop,
            b'(' => Operation::Mark,
            b'0' => Operation::Pop,
            b'1' => Operation::PopMark,
            b'2' => Operation::Duplicate,
            b'N' => Operation::None,
            0x88 => Operation::Bool(true),
            0x89 => Operation::Bool(false),
            b'K' => Operation::Int(u8::from_le_bytes(self.take()?).into()),
            b'M' => Operation::Int(u16::from_le_bytes(self.take()?).into()),
            b'J' => Operation::Int(i32::from_le_bytes(self.take()?).into()),
            0x8a => {
                let length = u8::from_le_bytes(self.take()?);
                self.long(length.into())?
            }
            0x8b => {
                let length = u32::from_le_bytes(self.take()?);
                self.long(length.into())?
            }
            b'G' => Operation::Float(f64::from_be_bytes(self.take()?)),
            b'X' => self.text_of::<4>()?,
            0x8c => self.text_of::<1>()?,
            0x8d => self.text_of::<8>()?,
            b'U' => self.bytes_or_text::<1>()?,
            b'T' => self.bytes_or_text::<4>()?,
            b'C' => Operation::Bytes(self.slice_of::<1>()?),
            b'B' => Operation::Bytes(self.slice_of::<4>()?),
            0x8e | 0x96 => Operation::Bytes(self.slice_of::<8>()?),
            b'c' => Operation::Global(self.line()?, self.line()?),
            0x93 => Operation::StackGlobal,
            b'Q' => Operation::PersistentId,
            b')' => Operation::EmptyTuple,
            0x85..=0x87 => Operation::TupleOf(usize::from(code) - 0x84),
            b't' => Operation::Tuple,
            b']' => Operation::EmptyList,
            b'l' => Operation::List,
            b'a' => Operation::Append,
            b'e' => Operation::Appends,
            b'}' => Operation::EmptyDict,
            b'd' => Operation::Dict,
            b's' => Operation::SetItem,
            b'u' => Operation::SetItems,
            0x8f => Operation::EmptySet,
            0x91 => Operation::FrozenSet,
            0x90 => Operation::AddItems,
            b'h' => Operation::Get(u8::from_le_bytes(self.take()?).into()),
            b'j' => Operation::Get(u32::from_le_bytes(self.take()?)),
            b'q' => Operation::Put(u8::from_le_bytes(self.take()?).into()),
            b'r' => Operation::Put(u32::from_le_bytes(self.take()?)),
            0x94 => Operation::Memoize,
            b'R' | 0x81 => Operation::Call,
            b'o' => Operation::CallMarked,
            b'i' => Operation::CallNamed(self.line()?, self.line()?),
            b'b' => Operation::Build,
            PROTO => {
                let [protocol] = self.take()?;
                if protocol > HIGHEST_PROTOCOL {
                    return refuse(format!(
                        "its pickle has protocol {protocol}; allowed are up to {HIGHEST_PROTOCOL}"
                    ));
                }
                Operation::Nothing
            }
            0x95 => {
                // a frame's length is a hint for readers of streams
                self.take::<8>()?;
                Operation::Nothing
            }
            _ => {
                let at = self.at - 1;
                return refuse(format!(
                    "byte {at} of its pickle, {code:#04x}, is no operation that torch.save writes"
                ));
            }
        })
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let bytes = self.pickle.get(self.at..).and_then(|rest| rest.first_chunk::<N>()).ok_or_else(cut)?;
        self.at += N;
        Ok(*bytes)
    }

    fn slice(&mut self, length: u64) -> Result<&'a [u8], PickleError> {
        let rest = self.pickle.get(self.at..).unwrap_or_default();
        let length = usize::try_from(length).ok().filter(|length| *length <= rest.len()).ok_or_else(cut)?;
        self.at += length;
        Ok(&rest[..length])
    }

    /// A slice after its length of N bytes.
    fn slice_of<const N: usize>(&mut self) -> Result<&'a [u8], PickleError> {
        let mut length = [0; 8];
        length[..N].copy_from_slice(&self.take::<N>()?);
        self.slice(u64::from_le_bytes(length))
    }

    fn text_of<const N: usize>(&mut self) -> Result<Operation<'a>, PickleError> {
        match std::str::from_utf8(self.slice_of::<N>()?) {
            Ok(text) => Ok(Operation::Text(text)),
            Err(_) => refuse("a text in its pickle is not UTF-8"),
        }
    }

    /// What Python 2 called a string.
    fn bytes_or_text<const N: usize>(&mut self) -> Result<Operation<'a>, PickleError> {
        let bytes = self.slice_of::<N>()?;
        Ok(std::str::from_utf8(bytes).map_or(Operation::Bytes(bytes), Operation::Text))
    }

    /// A two's complement number, lowest byte first.
    fn long(&mut self, length: u64) -> Result<Operation<'a>, PickleError> {
        let bytes = self.slice(length)?;
        if bytes.len() > size_of::<i128>() {
            return refuse(format!("a number in its pickle has {} bytes; allowed are 16", bytes.len()));
        }
        let negative = bytes.last().is_some_and(|highest| *highest >= 0x80);
        let mut wide = [if negative { 0xff } else { 0 }; size_of::<i128>()];
        wide[..bytes.len()].copy_from_slice(bytes);
        Ok(Operation::Int(i128::from_le_bytes(wide)))
    }

    fn line(&mut self) -> Result<&'a str, PickleError> {
        let rest = self.pickle.get(self.at..).unwrap_or_default();
        let end = rest.iter().take(MAX_GLOBAL).position(|byte| *byte == b'\n').ok_or_else(|| {
            PickleError::new(format!(
                "a class name in its pickle is cut off or longer than {MAX_GLOBAL} bytes"
            ))
        })?;
        self.at += end + 1;
        std::str::from_utf8(&rest[..end])
            .map_err(|_| PickleError::new("a class name in its pickle is not UTF-8"))
    }
}

fn cut() -> PickleError {
    PickleError::new("its pickle is cut off")
}
