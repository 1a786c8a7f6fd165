//! One fact, told once: the program serves.

use std::sync::Arc;
use tokio::sync::watch;

/// Becomes ready once and stays so. Clones share the fact.
#[derive(Debug, Clone)]
pub struct Ready(Arc<watch::Sender<bool>>);

impl Ready {
    /// Not ready yet.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Wakes all that wait. Setting it again changes nothing.
    pub fn set(&self) {
        self.0.send_replace(true);
    }

    /// Whether [`Ready::set`] was called.
    pub fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when [`Ready::set`] was called, at once if it was before.
    pub async fn wait(&self) {
        let mut changes = self.0.subscribe();
        changes
            .wait_for(|ready| *ready)
            .await
            .expect("self holds the sender, so it is not dropped");
    }
}

impl Default for Ready {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_ends_when_another_clone_is_set() {
        let ready = Ready::new();
        assert!(!ready.is_set());
        let other = ready.clone();
        let waiting = async { other.wait().await };
        let setting = async { ready.set() };
        tokio::join!(waiting, setting);
        assert!(ready.is_set());
        ready.wait().await;
    }
}
