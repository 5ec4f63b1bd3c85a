//! Which indexes there are. The configured name is an alias; behind it stands `<name>-v1`, and after a rebuild `-v2`,
//! and so on. A definition that only needs more grows in place. One that needs something else is *built* beside the
//! current one: writers fill both, readers stay with the current, and maintenance swaps the alias when nothing is
//! missing any more.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::AzureSearchIndex;
use super::client::{Call, Condition};
use super::schema::{Fit, VECTOR_PREFIX, definition, fit, vector_field};
use crate::document::EmbeddingSpace;
use crate::error::{Error, ErrorKind, Result};

/// How long an instance may go on with what it knows. An index that was swapped out lives longer than that.
const KEPT: Duration = Duration::from_secs(60);
/// How often a change of the layout is tried against others who change it too.
const TRIES: u32 = 5;

/// One index of ours.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    /// Its name at the service.
    pub name: String,
    /// The number at the end of the name.
    pub number: u32,
    /// Its definition.
    pub definition: Value,
}

/// The indexes there are.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The one that the alias names and that answers.
    pub current: Shelf,
    /// The one that is to take its place.
    pub building: Option<Shelf>,
    /// Those that an alias named earlier.
    pub retired: Vec<String>,
    /// The alias's ETag.
    pub alias_etag: Option<String>,
}

/// A layout with the time it was seen.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    layout: Layout,
    at: Instant,
}

impl Shelf {
    /// Whether vectors of a space can be stored and looked for here.
    pub(super) fn has(&self, space: &EmbeddingSpace) -> bool {
        let name = vector_field(space);
        self.vector_fields().any(|field| field == name)
    }

    /// Whether there are vectors of any space.
    pub(super) fn has_vectors(&self) -> bool {
        self.vector_fields().next().is_some()
    }

    fn vector_fields(&self) -> impl Iterator<Item = &str> {
        let fields = self.definition["fields"].as_array().into_iter().flatten();
        fields.filter_map(|field| field["name"].as_str()).filter(|name| name.starts_with(VECTOR_PREFIX))
    }
}

impl AzureSearchIndex {
    /// The indexes there are; none before the first document was written.
    pub(super) async fn layout(&self) -> Result<Option<Layout>> {
        let seen = self.shared.layout.lock().expect("no holder of this lock panics").clone();
        match seen {
            Some(seen) if seen.at.elapsed() < KEPT => Ok(Some(seen.layout)),
            _ => self.look().await,
        }
    }

    /// Forgets what is known, so that the next question looks.
    pub(super) fn forget_layout(&self) {
        *self.shared.layout.lock().expect("no holder of this lock panics") = None;
    }

    /// Asks the service which indexes there are.
    pub(super) async fn look(&self) -> Result<Option<Layout>> {
        self.forget_layout();
        let answer = self.shared.client.send(&Call::get(self.alias_path())).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        let alias = answer.json(&[200])?;
        let strange =
            || Error::new(ErrorKind::Misconfigured, "AZURE_SEARCH_INDEX is an alias of an index that is not ours");
        let current_name = alias["indexes"][0].as_str().ok_or_else(strange)?;
        let current_number = self.number_of(current_name).ok_or_else(strange)?;
        let mut numbered: Vec<(u32, String)> = self.ours().await?;
        numbered.sort_unstable();
        let building = numbered.last().filter(|(number, _)| *number > current_number).cloned();
        let Some(current) = self.shelf(current_number, current_name).await? else { return Err(strange()) };
        let building = match building {
            Some((number, name)) => self.shelf(number, &name).await?,
            None => None,
        };
        let is_in_use = |number: u32| number == current.number || building.as_ref().is_some_and(|b| b.number == number);
        let retired = numbered.into_iter().filter(|(number, _)| !is_in_use(*number)).map(|(_, name)| name).collect();
        let alias_etag = alias["@odata.etag"].as_str().map(str::to_owned);
        let layout = Layout { current, building, retired, alias_etag };
        let seen = Seen { layout: layout.clone(), at: Instant::now() };
        *self.shared.layout.lock().expect("no holder of this lock panics") = Some(seen);
        Ok(Some(layout))
    }

    /// The indexes to write a document into, made ready for vectors of `space`: always the current one, so that the
    /// change is seen, and the one that is being built, if there is one or if one is needed.
    pub(super) async fn writable(&self, space: Option<&EmbeddingSpace>) -> Result<Vec<Shelf>> {
        let _one_at_a_time = self.shared.changing_layout.lock().await;
        for _ in 0..TRIES {
            let Some(layout) = self.layout().await? else {
                self.create_first(space).await?;
                continue;
            };
            if !self.suit(&layout, space).await? {
                return Ok(std::iter::once(layout.current).chain(layout.building).collect());
            }
            self.forget_layout();
        }
        Err(Error::new(ErrorKind::StoreUnavailable, "too many others change the search index at once"))
    }

    /// Makes one of the indexes fit what is wanted, a step at a time, and says whether there was anything to do. While
    /// two releases with different settings run side by side, one fitting index is enough for each of them.
    async fn suit(&self, layout: &Layout, space: Option<&EmbeddingSpace>) -> Result<bool> {
        let spaces: Vec<EmbeddingSpace> = space.cloned().into_iter().collect();
        let fits = |shelf: &Shelf| fit(&shelf.definition, &self.shared.wanted, &spaces);
        let mut is_suited = false;
        for shelf in std::iter::once(&layout.current).chain(&layout.building) {
            match fits(shelf) {
                Fit::Fits => is_suited = true,
                Fit::Grows(grown) => {
                    let etag = shelf.definition["@odata.etag"].as_str().map(str::to_owned);
                    self.define(&shelf.name, &grown, etag.map_or(Condition::Always, Condition::IfMatch)).await?;
                    return Ok(true);
                }
                Fit::Rebuild => {}
            }
        }
        if is_suited {
            return Ok(false);
        }
        let newest = layout.building.as_ref().unwrap_or(&layout.current);
        let name = self.name_of(newest.number + 1);
        tracing::info!(index = name, "the definition of the search index changed: building another one");
        self.define(&name, &definition(&name, &self.shared.wanted, &spaces), Condition::IfAbsent).await?;
        Ok(true)
    }

    async fn create_first(&self, space: Option<&EmbeddingSpace>) -> Result<()> {
        let spaces: Vec<EmbeddingSpace> = space.cloned().into_iter().collect();
        let name = self.name_of(1);
        self.define(&name, &definition(&name, &self.shared.wanted, &spaces), Condition::IfAbsent).await?;
        self.point_alias(&name, Condition::IfAbsent).await.map(|_somebody_was_faster| ())
    }

    /// Stores a definition. That somebody was faster is no failure: whoever asked looks again.
    async fn define(&self, name: &str, definition: &Value, condition: Condition) -> Result<()> {
        let answer = self.shared.client.send(&Call::put(format!("indexes('{name}')"), definition, condition)).await?;
        match answer.status {
            200 | 201 | 204 | 409 | 412 => Ok(()),
            400 => Err(answer_misfit(&answer.refusal())),
            _ => Err(answer.refusal()),
        }
    }

    /// Lets the alias name an index; false when somebody else changed the alias first.
    pub(super) async fn point_alias(&self, index: &str, condition: Condition) -> Result<bool> {
        let body = json!({"name": self.shared.settings.index, "indexes": [index]});
        let answer = self.shared.client.send(&Call::put(self.alias_path(), &body, condition)).await?;
        match answer.status {
            200 | 201 | 204 => Ok(true),
            409 | 412 => Ok(false),
            400 => Err(answer_misfit(&answer.refusal())),
            _ => Err(answer.refusal()),
        }
    }

    async fn shelf(&self, number: u32, name: &str) -> Result<Option<Shelf>> {
        let answer = self.shared.client.send(&Call::get(format!("indexes('{name}')"))).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        Ok(Some(Shelf { name: name.to_owned(), number, definition: answer.json(&[200])? }))
    }

    /// All indexes whose names are made from ours.
    async fn ours(&self) -> Result<Vec<(u32, String)>> {
        let listed = self.shared.client.send(&Call::get("indexes?$select=name".to_owned())).await?.json(&[200])?;
        let names = listed["value"].as_array().into_iter().flatten().filter_map(|index| index["name"].as_str());
        Ok(names.filter_map(|name| Some((self.number_of(name)?, name.to_owned()))).collect())
    }

    fn alias_path(&self) -> String {
        format!("aliases('{}')", self.shared.settings.index)
    }

    fn name_of(&self, number: u32) -> String {
        format!("{}-v{number}", self.shared.settings.index)
    }

    fn number_of(&self, name: &str) -> Option<u32> {
        let digits = name.strip_prefix(&self.shared.settings.index)?.strip_prefix("-v")?;
        (digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0')).then(|| digits.parse().ok())?
    }
}

/// A definition that the service refuses will be refused again: its tier may lack a feature, or a name may be taken.
fn answer_misfit(refusal: &Error) -> Error {
    let sentence = "the search service refuses the definition of the index; AZURE_SEARCH_INDEX may be taken";
    Error::new(ErrorKind::Misconfigured, sentence).caused_by(refusal.chain())
}
