//! The reader against real files, a second reader, and files that mean harm.

use super::archive::Archive;
use super::assemble::{Pickle, archive, one_tensor, saved, saved_before_1_6};
use super::*;
use std::path::PathBuf;

pub(super) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

const RELEASED: [(&str, Option<&str>); 3] = [
    ("rna_fm/RNA-FM_tiny.pth", Some("model")),
    ("esm2/esm2_tiny.pt", Some("model")),
    ("esmc/esmc_tiny.pth", None),
];

fn reason(file: &[u8]) -> String {
    read(file).unwrap_err().to_string()
}

/// The reason for which a pickle is refused whose root would otherwise be an empty dict.
fn refusal(pickle: Pickle) -> String {
    reason(&saved(&pickle.stop(), &[&[0; 16]]))
}

#[test]
fn released_files_have_the_tensors_that_candles_reader_finds() {
    for (name, key) in RELEASED {
        let path = fixture(name);
        let file = std::fs::read(&path).unwrap();
        let mut expected = candle_core::pickle::read_all_with_key(&path, key).unwrap();
        let found = read(&file).unwrap().tensors;
        assert_eq!(found.len(), expected.len(), "{name}");
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        for ((own, tensor), (other, values)) in found.iter().zip(&expected) {
            assert_eq!((own, tensor.shape()), (other, values.dims()), "{name}");
            let values = values.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(tensor.values(&file), values, "{name} {own}");
        }
    }
}

#[test]
fn the_arguments_of_released_files_are_read() {
    for (name, layers, heads) in [("rna_fm/RNA-FM_tiny.pth", 3, 4), ("esm2/esm2_tiny.pt", 3, 4)] {
        let arguments = read(&std::fs::read(fixture(name)).unwrap()).unwrap().arguments;
        assert_eq!(arguments["attention_heads"], heads, "{name}: {arguments:?}");
        assert_eq!(arguments["layers"], layers, "{name}");
        assert_eq!(arguments["token_dropout"], true, "{name}");
    }
}

#[test]
fn files_of_before_1_6_hold_the_same() {
    let file = std::fs::read(fixture("esm2/esm2_tiny.pt")).unwrap();
    let new = read(&file).unwrap();
    let zip = Archive::read(&file).unwrap();
    let entry = |name: &str| &file[zip.entries[name].clone()];
    let keys: Vec<String> = (0..zip.entries.len()).map(|key| key.to_string()).collect();
    let storages: Vec<(&str, &[u8])> = keys
        .iter()
        .filter_map(|key| Some((&**key, &file[zip.entries.get(&*format!("esm2_tiny/data/{key}"))?.clone()])))
        .collect();
    let old_file = saved_before_1_6(entry("esm2_tiny/data.pkl"), &storages);
    let old = read(&old_file).unwrap();
    assert_eq!(old.arguments, new.arguments);
    assert_eq!(old.tensors.len(), new.tensors.len());
    for ((name, old), (other, new)) in old.tensors.iter().zip(&new.tensors) {
        assert_eq!((name, old.values(&old_file)), (other, new.values(&file)));
    }
    let cut = reason(&old_file[..old_file.len() - 1]);
    assert!(cut.contains("cut off"), "{cut}");
}

#[test]
fn a_state_dict_may_have_metadata_parameters_and_a_name_twice() {
    let pickle = Pickle::new()
        .global("collections", "OrderedDict")
        .code(b")R(")
        .text("w")
        .tensor("0", 4, 0, &[4], &[1])
        .text("w")
        .global("torch._utils", "_rebuild_parameter")
        .code(b"(")
        .tensor("0", 4, 2, &[2], &[1])
        .code(&[0x88])
        .global("collections", "OrderedDict")
        .code(b")RtRu}")
        .text("_metadata")
        .code(b"Nsb")
        .stop();
    let file = saved(&pickle, &[&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 63, 0, 0, 0, 64]]);
    let tensors = read(&file).unwrap().tensors;
    assert_eq!(tensors.len(), 1, "the last of a name counts, as in Python");
    assert_eq!(tensors[0].1.values(&file), [1.0, 2.0]);
}

#[test]
fn whatever_is_no_tensor_or_plain_container_is_refused_by_its_name() {
    let on_stack = |module, name| Pickle::new().text(module).text(name).code(&[0x93]);
    let cases = [
        (Pickle::new().global("os", "system").text("true").code(&[0x85, b'R']), "os.system"),
        (Pickle::new().global("posix", "system").code(b")R"), "posix.system"),
        (Pickle::new().global("builtins", "eval"), "builtins.eval"),
        (Pickle::new().global("torch.storage", "_load_from_bytes"), "torch.storage._load_from_bytes"),
        (Pickle::new().global("torch", "load"), "torch.load"),
        (Pickle::new().global("torch", "ComplexFloatStorage"), "torch.ComplexFloatStorage"),
        (Pickle::new().global("numpy.core.multiarray", "scalar"), "numpy.core.multiarray.scalar"),
        (on_stack("esm.model.esm2", "ESM2"), "esm.model.esm2.ESM2"),
        (on_stack("a\u{1b}[2J\n", "b"), "a\\u{1b}[2J\\n.b"),
        (Pickle::new().code(b"(ios\nsystem\n"), "os.system"),
        (Pickle::new().code(b"(cos\nsystem\no"), "os.system"),
        (Pickle::new().global("os", "popen").code(&[b')', 0x81]), "os.popen"),
    ];
    for (pickle, name) in cases {
        let reason = refusal(pickle);
        assert!(reason.contains(&format!("asks for {name}: allowed are tensors")), "{name}: {reason}");
    }
}

#[test]
fn pickles_that_make_no_sense_are_refused() {
    let p = Pickle::new;
    let deep = vec![b'('; MAX_MARKS + 1];
    let tall = vec![b'N'; MAX_STACK + 1];
    let cases = [
        (p().code(b"t"), "did not begin"),
        (p().code(b"R"), "empty stack"),
        (p().code(b"(N0"), "empty stack"),
        (p().code(b"h\x07"), "recalls an object"),
        (p().code(b"}(Nu"), "without a value"),
        (p().code(b"Na"), "empty stack"),
        (p().code(b"NNa"), "no list"),
        (p().code(b"NNNs"), "no dict"),
        (p().code(b"NNb"), "sets the state"),
        (p().code(b"N)R"), "no class"),
        (p().code(b"N}R"), "no tuple"),
        (p().global("torch", "FloatStorage").code(b")R"), "arguments of a kind"),
        (p().text("storage").code(b"Q"), "no storage"),
        (p().code(b"\x80\x09"), "protocol 9"),
        (p().code(b"V\n"), "no operation"),
        (p().code(b"X\xff\xff\xff\xff"), "cut off"),
        (p().code(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff"), "cut off"),
        (p().code(b"\x8b\x20\0\0\0").code(&[1; 32]), "32 bytes"),
        (p().code(b"X\x01\0\0\0\xff"), "not UTF-8"),
        (p().code(&deep), "nests more"),
        (p().code(&tall), "stack of more"),
        (p().code(b"]"), "no dict of tensors"),
        (p().code(b"}"), "no dict of tensors"),
        (p().code(b"N"), "no dict of tensors"),
    ];
    for (pickle, expected) in cases {
        let shown = pickle.0.iter().take(20).map(|byte| format!("{byte:02x}")).collect::<String>();
        let reason = refusal(pickle);
        assert!(reason.contains(expected), "{shown}: {reason}");
    }
}

#[test]
fn circles_end() {
    let own_item = Pickle::new().code(b"]q\0h\0a");
    assert!(refusal(own_item).contains("no dict of tensors"));
    let own_model = Pickle::new().code(b"}q\0").text("model").code(b"h\0s").text("args").code(b"h\0s");
    assert!(refusal(own_model).contains("no dict of tensors"));
    let own_shape = Pickle::new().code(b"]q\0h\0a0").global("torch", "Size").code(b"h\0\x85R");
    assert!(refusal(own_shape).contains("no dict of tensors"));
}

#[test]
fn small_files_cannot_ask_for_much_memory() {
    // a list of 1000 items, copied into a set again and again
    let mut set_bomb = Pickle::new().code(b"](").code(&[b'N'; 1000]).code(b"eq\x000");
    for _ in 0..MAX_OBJECTS / 1000 {
        set_bomb = set_bomb.global("builtins", "set").code(b"h\0\x85R0");
    }
    assert!(refusal(set_bomb.code(b"}")).contains("more than 1048576 objects"));

    // the same tensor under many names
    let mut sharing = Pickle::new().code(b"}").text("a").tensor("0", 4096, 0, &[4096], &[1]).code(b"q\0s");
    for index in 0..8 {
        sharing = sharing.text(&index.to_string()).code(b"h\0s");
    }
    let reason = reason(&saved(&sharing.stop(), &[&[0; 4 * 4096]]));
    assert!(reason.contains("4 times the file"), "{reason}");

    let long_name = "n".repeat(MAX_NAME + 1);
    let named = Pickle::new().code(b"}").text(&long_name).tensor("0", 4, 0, &[4], &[1]).code(b"s");
    assert!(refusal(named).contains("no name"));
}

#[test]
fn tensors_stay_inside_their_storage_and_storages_inside_the_file() {
    let huge = i64::MAX;
    for (elements, offset, shape, strides, expected) in [
        (4, 0, &[5][..], &[1][..], "reaches past"),
        (4, 1, &[4], &[1], "reaches past"),
        (4, 5, &[1], &[1], "begins past"),
        (4, huge, &[1], &[1], "begins past"),
        (4, 0, &[2, 2], &[huge, 1], "reaches past"),
        (4, 0, &[huge, huge], &[0, 0], "too many"),
        (4, 0, &[huge], &[0], "repeats"),
        (4, 0, &[2, 2], &[1], "differ in length"),
        (4, 0, &[-1], &[1], "something else"),
        (4, 0, &[1; MAX_DIMENSIONS + 1], &[1; MAX_DIMENSIONS + 1], "something else"),
        (5, 0, &[4], &[1], "not 5 elements of 4 bytes"),
        (huge, 0, &[4], &[1], "elements of 4 bytes"),
        (-1, 0, &[4], &[1], "no storage"),
    ] {
        let reason = reason(&saved(&one_tensor(elements, offset, shape, strides), &[&[0; 16]]));
        assert!(reason.contains(expected), "{shape:?} {strides:?}: {reason}");
    }
    let pickle = one_tensor(4, 0, &[4], &[1]);
    assert!(reason(&saved(&pickle, &[])).contains("storage \"0\" is missing"));
}

#[test]
fn damaged_archives_are_refused_for_their_reason() {
    let pickle = one_tensor(4, 0, &[4], &[1]);
    let whole = saved(&pickle, &[&[0; 16]]);
    assert!(read(&whole).is_ok());
    for length in 0..whole.len() {
        assert!(read(&whole[..length]).is_err(), "cut to {length} bytes");
    }
    let twice = archive(&[("m/data.pkl", &pickle), ("m/data.pkl", &pickle)]);
    assert!(reason(&twice).contains("twice"));
    let two = archive(&[("m/data.pkl", &pickle), ("n/data.pkl", &pickle)]);
    assert!(reason(&two).contains("one data.pkl"));
    let big = archive(&[("m/data.pkl", &pickle), ("m/byteorder", b"big"), ("m/data/0", &[0; 16])]);
    assert!(reason(&big).contains("big-endian"));

    let directory = whole.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    for (field, value, expected) in [
        (8, 1, "encrypted"),
        (10, 8, "compressed"),
        (20, 1, "two sizes"),
        (0, 0, "directory is damaged"),
        (42, 1, "not where"),
    ] {
        let mut file = whole.clone();
        file[directory + field] = value;
        assert!(reason(&file).contains(expected), "{}", reason(&file));
    }
    let mut long = whole.clone();
    for field in [20, 24] {
        long[directory + field..directory + field + 4].copy_from_slice(&(1u32 << 30).to_le_bytes());
    }
    assert!(reason(&long).contains("reaches past the end"));
}
