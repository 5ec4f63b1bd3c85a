//! Optional content: layers of a document that are shown or not. What is not shown nobody has read, and it is no text of the
//! page. ISO 32000-2, 8.11.

use std::collections::HashSet;

use hayro_syntax::object::dict::keys::{BASE_STATE, D, OC, OCGS, OCMD, OCPROPERTIES, OFF, ON, P, TYPE};
use hayro_syntax::object::{Array, Dict, Name, ObjectIdentifier};
use hayro_syntax::xref::XRef;

/// Which layers are shown, and which parts of a content stream are being read.
pub struct Visibility {
    hidden: HashSet<ObjectIdentifier>,
    /// For each part that was begun and has not ended, whether it is shown.
    open: Vec<bool>,
}

impl Visibility {
    /// As the document opens.
    pub fn of(xref: &XRef) -> Self {
        Self { hidden: hidden_layers(xref).unwrap_or_default(), open: Vec::new() }
    }

    /// What a page begins and does not end, ends with it.
    pub fn begin_page(&mut self) {
        self.open.clear();
    }

    pub fn is_visible(&self) -> bool {
        self.open.last().copied().unwrap_or(true)
    }

    /// Begins a part, which is shown unless what it is in is not.
    pub fn begin(&mut self, is_visible: bool) {
        self.open.push(self.is_visible() && is_visible);
    }

    pub fn end(&mut self) {
        self.open.pop();
    }

    /// Whether something is shown by the layer that its description names, if any.
    pub fn of_owner(&self, owner: &Dict<'_>) -> bool {
        let layer = owner.get::<Dict<'_>>(OC);
        layer.is_none_or(|layer| self.of_layer(&layer, owner.get_ref(OC).map(Into::into)))
    }

    /// Whether a layer is shown, or a choice among several, which says how many of them must be.
    pub fn of_layer(&self, layer: &Dict<'_>, id: Option<ObjectIdentifier>) -> bool {
        if layer.get::<Name<'_>>(TYPE).as_deref() != Some(OCMD) {
            return id.is_none_or(|id| !self.hidden.contains(&id));
        }
        let members = match layer.get::<Array<'_>>(OCGS) {
            Some(array) => ids(&array),
            None => layer.get_ref(OCGS).map(Into::into).into_iter().collect(),
        };
        let is_hidden = |id: &ObjectIdentifier| self.hidden.contains(id);
        members.is_empty()
            || match layer.get::<Name<'_>>(P).as_deref() {
                Some(b"AllOn") => !members.iter().any(is_hidden),
                Some(b"AnyOff") => members.iter().any(is_hidden),
                Some(b"AllOff") => members.iter().all(is_hidden),
                _ => !members.iter().all(is_hidden),
            }
    }
}

fn hidden_layers(xref: &XRef) -> Option<HashSet<ObjectIdentifier>> {
    let properties = xref.get::<Dict<'_>>(xref.root_id())?.get::<Dict<'_>>(OCPROPERTIES)?;
    let usual = properties.get::<Dict<'_>>(D)?;
    let named = |dict: &Dict<'_>, key: &[u8]| dict.get::<Array<'_>>(key).map(|array| ids(&array)).unwrap_or_default();
    let all_are_off = usual.get::<Name<'_>>(BASE_STATE).as_deref() == Some(OFF);
    let mut hidden: HashSet<_> = if all_are_off { named(&properties, OCGS) } else { Vec::new() }.into_iter().collect();
    for shown in named(&usual, ON) {
        hidden.remove(&shown);
    }
    hidden.extend(named(&usual, OFF));
    Some(hidden)
}

fn ids(array: &Array<'_>) -> Vec<ObjectIdentifier> {
    array.raw_iter().filter_map(|item| item.as_obj_ref()).map(Into::into).collect()
}
