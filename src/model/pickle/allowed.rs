//! What a pickle may ask for: tensors and plain containers. Anything else is refused by its name.

use super::objects::{Class, Heap, Id, Object, Storage, Tensor};
use super::{MAX_DIMENSIONS, MAX_NAME, PickleError, refuse};
use crate::model::stored::Element;

const ALLOWED: &str = "allowed are tensors, dict, OrderedDict, list, tuple, set, torch.Size and argparse.Namespace; \
                       save the weights alone, as torch.save(model.state_dict(), …) or as .safetensors";

/// Storage classes of `torch` and `torch.cuda`.
const STORAGES: [(&str, Element); 10] = [
    ("DoubleStorage", Element::F64),
    ("FloatStorage", Element::F32),
    ("HalfStorage", Element::F16),
    ("BFloat16Storage", Element::Bf16),
    ("LongStorage", Element::I64),
    ("IntStorage", Element::I32),
    ("ShortStorage", Element::I16),
    ("CharStorage", Element::I8),
    ("ByteStorage", Element::U8),
    ("BoolStorage", Element::Bool),
];

const ELEMENT_TYPES: [&str; 11] = [
    "float64", "double", "float32", "float", "float16", "half", "bfloat16", "int64", "int32", "uint8", "bool",
];

/// The class or function of that name.
pub(super) fn class(module: &str, name: &str) -> Result<Class, PickleError> {
    Ok(match (module, name) {
        ("collections", "OrderedDict") => Class::OrderedDict,
        ("builtins" | "__builtin__", "set" | "frozenset") => Class::Set,
        ("argparse", "Namespace") => Class::Namespace,
        ("torch", "Size") => Class::Size,
        ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => Class::RebuildTensor,
        ("torch._utils", "_rebuild_parameter") => Class::RebuildParameter,
        ("torch", name) if ELEMENT_TYPES.contains(&name) => Class::ElementType,
        ("torch" | "torch.cuda", name) => match STORAGES.iter().find(|(storage, _)| *storage == name) {
            Some((_, element)) => Class::Storage(*element),
            None => return unknown(module, name),
        },
        _ => return unknown(module, name),
    })
}

fn unknown<T>(module: &str, name: &str) -> Result<T, PickleError> {
    // a name comes from the file: it is shown without control characters, and not at any length
    let shown: String = format!("{module}.{name}").escape_debug().take(120).collect();
    refuse(format!("it asks for {shown}: {ALLOWED}"))
}

/// What `callee(*arguments)` makes.
pub(super) fn call(heap: &mut Heap, callee: Id, arguments: &[Id]) -> Result<Id, PickleError> {
    let Object::Class(class) = *heap.get(callee) else {
        return refuse(format!("it calls something that is no class: {ALLOWED}"));
    };
    match (class, arguments) {
        (Class::OrderedDict, []) => heap.add(Object::Dict(Vec::new())),
        (Class::OrderedDict, [pairs]) => {
            let pair = |id: &Id| match heap.sequence(*id) {
                Some([key, value]) => Some((*key, *value)),
                _ => None,
            };
            let entries =
                heap.sequence(*pairs).and_then(|pairs| pairs.iter().map(pair).collect::<Option<Vec<_>>>());
            add(heap, entries.map(Object::Dict), "OrderedDict")
        }
        (Class::Set, []) => heap.add(Object::Set(Vec::new())),
        (Class::Set, [items]) => {
            let items = heap.sequence(*items).map(|items| Object::Set(items.to_vec()));
            add(heap, items, "set")
        }
        (Class::Namespace, []) => heap.add(Object::Namespace(None)),
        (Class::Size, [sizes]) => {
            let sizes = heap.sequence(*sizes).map(|sizes| Object::Tuple(sizes.to_vec()));
            add(heap, sizes, "torch.Size")
        }
        (Class::RebuildTensor, [storage, offset, shape, strides, ..]) => {
            let tensor = tensor(heap, *storage, *offset, *shape, *strides);
            add(heap, tensor, "tensor")
        }
        (Class::RebuildParameter, [tensor, ..]) if matches!(heap.get(*tensor), Object::Tensor(_)) => {
            Ok(*tensor)
        }
        _ => refuse(format!(
            "it calls {class:?} with {} arguments of a kind that torch.save does not write",
            arguments.len()
        )),
    }
}

fn add<'a>(heap: &mut Heap<'a>, made: Option<Object<'a>>, what: &str) -> Result<Id, PickleError> {
    match made {
        Some(object) => heap.add(object),
        None => refuse(format!("a {what} in its pickle is made of something else than torch.save writes")),
    }
}

fn tensor<'a>(heap: &Heap<'a>, storage: Id, offset: Id, shape: Id, strides: Id) -> Option<Object<'a>> {
    let sizes = |id: Id| {
        let sizes = heap.sequence(id).filter(|sizes| sizes.len() <= MAX_DIMENSIONS)?;
        sizes.iter().map(|size| heap.size(*size)).collect::<Option<Vec<_>>>()
    };
    let Object::Storage(_) = heap.get(storage) else { return None };
    let tensor =
        Tensor { storage, offset: heap.size(offset)?, shape: sizes(shape)?, strides: sizes(strides)? };
    Some(Object::Tensor(Box::new(tensor)))
}

/// The storage of a persistent id: `("storage", class, key, device, elements)`, and in the form of before 1.6 a view.
pub(super) fn storage<'a>(heap: &Heap<'a>, id: Id) -> Result<Storage<'a>, PickleError> {
    let read = || {
        let [kind, class, key, _, elements, view @ ..] = heap.sequence(id)? else { return None };
        let Object::Class(Class::Storage(element)) = *heap.get(*class) else { return None };
        let whole = view.iter().all(|view| *heap.get(*view) == Object::None);
        let key = heap.text(*key).filter(|key| key.len() <= MAX_NAME)?;
        (heap.text(*kind) == Some("storage") && whole).then_some(())?;
        Some(Storage { key, element, elements: heap.size(*elements)? })
    };
    read().ok_or_else(|| {
        PickleError::new("it refers to something outside that is no storage of a known element type")
    })
}

/// Gives an object its state: a namespace its attributes. What a state dict holds beside its items (`_metadata`) has
/// no part in the weights.
pub(super) fn build(heap: &mut Heap, target: Id, state: Id) -> Result<(), PickleError> {
    let is_dict = heap.dict(state).is_some();
    match heap.get_mut(target) {
        Object::Namespace(attributes) if is_dict => {
            *attributes = Some(state);
            Ok(())
        }
        Object::Dict(_) if is_dict => Ok(()),
        _ => refuse("it sets the state of something that is no namespace or dict"),
    }
}
