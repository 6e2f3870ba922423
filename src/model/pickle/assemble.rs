//! Writes pickles, zip archives and old-style files for tests, well-formed or not.

/// A pickle of protocol 2 under construction.
#[derive(Clone)]
pub(super) struct Pickle(pub Vec<u8>);

impl Pickle {
    pub fn new() -> Self {
        Pickle(vec![0x80, 2])
    }

    /// Operations without arguments, as their bytes.
    pub fn code(mut self, codes: &[u8]) -> Self {
        self.0.extend(codes);
        self
    }

    pub fn text(mut self, text: &str) -> Self {
        self.0.push(b'X');
        self.0.extend((text.len() as u32).to_le_bytes());
        self.0.extend(text.as_bytes());
        self
    }

    pub fn int(mut self, value: i64) -> Self {
        self.0.extend([0x8a, 8]);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn global(mut self, module: &str, name: &str) -> Self {
        self.0.extend(format!("c{module}\n{name}\n").as_bytes());
        self
    }

    pub fn ints(self, values: &[i64]) -> Self {
        values.iter().fold(self.code(b"("), |pickle, value| pickle.int(*value)).code(b"t")
    }

    /// A tensor of f32 over a storage.
    pub fn tensor(self, key: &str, elements: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Self {
        self.global("torch._utils", "_rebuild_tensor_v2")
            .code(b"((")
            .text("storage")
            .global("torch", "FloatStorage")
            .text(key)
            .text("cpu")
            .int(elements)
            .code(b"tQ")
            .int(offset)
            .ints(shape)
            .ints(strides)
            .code(&[0x89])
            .global("collections", "OrderedDict")
            .code(b")RtR")
    }

    pub fn stop(self) -> Vec<u8> {
        self.code(b".").0
    }
}

/// `{"w": tensor}` with the tensor as given, over the storage "0".
pub(super) fn one_tensor(elements: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    Pickle::new().code(b"}").text("w").tensor("0", elements, offset, shape, strides).code(b"s").stop()
}

/// A zip archive of stored entries.
pub(super) fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in entries {
        let sizes = [data.len() as u32; 2].map(u32::to_le_bytes).concat();
        let name_length = (name.len() as u16).to_le_bytes();
        directory.extend(b"PK\x01\x02");
        directory.extend([0; 16]);
        directory.extend(&sizes);
        directory.extend(name_length);
        directory.extend([0; 12]);
        directory.extend((file.len() as u32).to_le_bytes());
        directory.extend(name.as_bytes());
        file.extend(b"PK\x03\x04");
        file.extend([0; 14]);
        file.extend(&sizes);
        file.extend(name_length);
        file.extend([0; 2]);
        file.extend(name.as_bytes());
        file.extend(*data);
    }
    let start = file.len() as u32;
    file.extend(&directory);
    file.extend(b"PK\x05\x06");
    file.extend([0; 6]);
    file.extend((entries.len() as u16).to_le_bytes());
    file.extend((directory.len() as u32).to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend([0; 2]);
    file
}

/// A file as `torch.save` writes it: the pickle and its storages, which have the names "0", "1" ….
pub(super) fn saved(pickle: &[u8], storages: &[&[u8]]) -> Vec<u8> {
    let names: Vec<String> = (0..storages.len()).map(|index| format!("m/data/{index}")).collect();
    let mut entries = vec![("m/data.pkl", pickle), ("m/byteorder", b"little")];
    entries.extend(names.iter().map(String::as_str).zip(storages.iter().copied()));
    archive(&entries)
}

/// The same in the form of before 1.6, of storages with elements of 4 bytes.
pub(super) fn saved_before_1_6(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    let mut file = Pickle::new().code(&[0x8a, 10]).0;
    file.extend([0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.']);
    file.extend(Pickle::new().int(1001).stop());
    file.extend(Pickle::new().code(b"}").text("little_endian").code(&[0x88, b's']).stop());
    file.extend(pickle);
    let keys = storages.iter().fold(Pickle::new().code(b"]("), |pickle, (key, _)| pickle.text(key));
    file.extend(keys.code(b"e").stop());
    for (_, data) in storages {
        file.extend((data.len() as u64 / 4).to_le_bytes());
        file.extend(*data);
    }
    file
}
