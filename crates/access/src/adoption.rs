//! Agents that ask to be accepted.

use std::net::IpAddr;
use std::sync::{Arc, MutexGuard, PoisonError};

use std::collections::HashMap;

use crate::Access;
use crate::error::AccessError;
use crate::model::{Waiting, now_us};
use crate::secret::{Kind, Secret, random};

/// Agents that may wait at once: as many as a person can look through.
const MOST_WAITING: usize = 32;

/// Of these, from one address.
const MOST_WAITING_PER_ADDRESS: usize = 4;

/// Longest version of an agent that is shown, in characters.
const MAX_VERSION: usize = 40;

/// An agent that waits to be accepted; dropping it ends the waiting.
#[derive(Debug)]
pub struct Asking {
    access: Arc<Access>,
    code: String,
    name: String,
}

impl Access {
    /// Notes that an agent asks for `name`.
    ///
    /// # Errors
    ///
    /// If too many wait already.
    pub fn ask(
        self: &Arc<Self>,
        name: &str,
        address: IpAddr,
        version: &str,
    ) -> Result<Asking, AccessError> {
        let mut waiting = self.lock_waiting();
        let address = address.to_string();
        let from_there = waiting.values().filter(|w| w.address == address).count();
        if waiting.len() >= MOST_WAITING || from_there >= MOST_WAITING_PER_ADDRESS {
            return Err(AccessError::Invalid(format!(
                "too many agents wait to be accepted ({MOST_WAITING} at most, \
                 {MOST_WAITING_PER_ADDRESS} from one address); accept or turn away some first"
            )));
        }
        let code = loop {
            let code = format!("{:04}", u32::from_be_bytes(random()?) % 10_000);
            if !waiting.contains_key(&code) {
                break code;
            }
        };
        let entry = Waiting {
            code: code.clone(),
            name: name.to_owned(),
            address,
            version: version.chars().take(MAX_VERSION).collect(),
            since_us: now_us(),
            accepted_by: None,
            refused: false,
        };
        waiting.insert(code.clone(), entry);
        drop(waiting);
        self.write_waiting();
        Ok(Asking {
            access: self.clone(),
            code,
            name: name.to_owned(),
        })
    }

    /// Brings the database's list up to date.
    fn write_waiting(self: &Arc<Self>) {
        // Weak, lest a change in the queue keeps the thread from ending.
        let access = Arc::downgrade(self);
        self.keeper.post(move |store| {
            let Some(access) = access.upgrade() else {
                return Ok(());
            };
            let list: Vec<_> = access.lock_waiting().values().cloned().collect();
            store.set_waiting(&list)
        });
    }

    fn lock_waiting(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asking {
    /// What a person compares on both sides before accepting.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The camera's name that it asks for.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a person has decided, if somebody has: whether the agent is accepted.
    #[must_use]
    pub fn verdict(&self) -> Option<bool> {
        let snapshot = self.access.snapshot();
        let waiting = snapshot.waiting.get(&self.code)?;
        match (&waiting.accepted_by, waiting.refused) {
            (Some(_), _) => Some(true),
            (None, true) => Some(false),
            (None, false) => None,
        }
    }

    /// Binds the name to a new key, which the agent is to be given, as somebody has accepted it.
    ///
    /// # Errors
    ///
    /// If nobody has.
    pub async fn adopt(&self) -> Result<Secret, AccessError> {
        let key = Secret::generate(Kind::AgentKey)?;
        let (code, digest) = (self.code.clone(), key.digest());
        self.access
            .run(move |store| store.adopt(&code, &digest))
            .await?;
        Ok(key)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.access.lock_waiting().remove(&self.code);
        self.access.write_waiting();
    }
}
