//! The way to the chain's node, which can be cut.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::net::{TcpListener, TcpStream};

/// A port that leads to another one, or nowhere.
pub struct Proxy {
    pub url: String,
    cut: Arc<AtomicBool>,
    changed: Arc<tokio::sync::Notify>,
}

impl Proxy {
    pub async fn to(url: &str) -> Self {
        let target = url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (cut, changed) = (Arc::new(AtomicBool::new(false)), Arc::new(tokio::sync::Notify::new()));
        let (is_cut, change) = (Arc::clone(&cut), Arc::clone(&changed));
        tokio::spawn(async move {
            while let Ok((mut inward, _)) = listener.accept().await {
                // Who is not answered sees its connection closed.
                if is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let (target, change) = (target.clone(), Arc::clone(&change));
                tokio::spawn(async move {
                    let Ok(mut outward) = TcpStream::connect(&target).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut inward, &mut outward) => (),
                        () = change.notified() => (),
                    }
                });
            }
        });
        Self { url, cut, changed }
    }

    /// Cuts it, open connections too; or heals it.
    pub fn set_cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
        self.changed.notify_waiters();
    }
}
