//! What a pickle makes: objects that name each other by number, so that circles are nothing special.

use super::{MAX_OBJECTS, PickleError, refuse};
use crate::model::stored::Element;
use std::ops::Range;

/// Number of an object in its [`Heap`].
pub(super) type Id = u32;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Object<'a> {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Set(Vec<Id>),
    /// A dict, or an `OrderedDict`
    Dict(Vec<(Id, Id)>),
    /// An `argparse.Namespace` and the dict of its attributes, once it is there
    Namespace(Option<Id>),
    Class(Class),
    Storage(Box<Storage<'a>>),
    Tensor(Box<Tensor>),
}

/// The classes and functions that a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    OrderedDict,
    Set,
    Namespace,
    /// `torch.Size`, a tuple
    Size,
    RebuildTensor,
    RebuildParameter,
    Storage(Element),
    /// `torch.float32` and its like, a value of arguments
    ElementType,
}

/// Elements that lie together in the file under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Storage<'a> {
    pub key: &'a str,
    pub element: Element,
    pub elements: usize,
}

impl Storage<'_> {
    /// Where it begins, if these bytes of the file have its size.
    pub fn start_in(&self, range: &Range<usize>) -> Result<usize, PickleError> {
        let width = self.element.size();
        match self.elements.checked_mul(width) == Some(range.len()) {
            true => Ok(range.start),
            false => refuse(format!(
                "storage {:?} has {} bytes, not {} elements of {width} bytes",
                self.key,
                range.len(),
                self.elements
            )),
        }
    }
}

/// A view of a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tensor {
    pub storage: Id,
    /// In elements, as the strides
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

/// All objects of a pickle; their number and that of their items is bounded.
#[derive(Default)]
pub(super) struct Heap<'a> {
    objects: Vec<Object<'a>>,
    items: usize,
}

impl<'a> Heap<'a> {
    /// Takes in an object; `Id` fits as the heap is bounded.
    pub fn add(&mut self, object: Object<'a>) -> Result<Id, PickleError> {
        let items = match &object {
            Object::Tuple(items) | Object::List(items) | Object::Set(items) => items.len(),
            Object::Dict(entries) => 2 * entries.len(),
            _ => 0,
        };
        self.charge(items + 1)?;
        self.objects.push(object);
        Ok((self.objects.len() - 1) as Id)
    }

    /// Counts items that a container is about to take in.
    pub fn charge(&mut self, items: usize) -> Result<(), PickleError> {
        self.items = self.items.saturating_add(items);
        match self.items <= MAX_OBJECTS {
            true => Ok(()),
            false => refuse(format!("its pickle makes more than {MAX_OBJECTS} objects")),
        }
    }

    pub fn get(&self, id: Id) -> &Object<'a> {
        // an id comes from `add` alone
        &self.objects[id as usize]
    }

    pub fn get_mut(&mut self, id: Id) -> &mut Object<'a> {
        &mut self.objects[id as usize]
    }

    pub fn storages(&self) -> impl Iterator<Item = &Storage<'a>> {
        self.objects.iter().filter_map(|object| match object {
            Object::Storage(storage) => Some(&**storage),
            _ => None,
        })
    }

    /// The items of a tuple or list.
    pub fn sequence(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Object::Tuple(items) | Object::List(items) => Some(items),
            _ => None,
        }
    }

    pub fn dict(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.get(id) {
            Object::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    pub fn text(&self, id: Id) -> Option<&'a str> {
        match self.get(id) {
            Object::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn size(&self, id: Id) -> Option<usize> {
        match self.get(id) {
            Object::Int(number) => usize::try_from(*number).ok(),
            _ => None,
        }
    }

    /// The last value under a text key, as Python keeps it.
    pub fn lookup(&self, entries: &[(Id, Id)], key: &str) -> Option<Id> {
        entries.iter().rev().find(|(name, _)| self.text(*name) == Some(key)).map(|(_, value)| *value)
    }
}
