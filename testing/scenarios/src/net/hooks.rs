//! What hooks are told, and whether it is balanced: each id is created once and destroyed once, and callbacks are nested.

use async_wrap::{AsyncHook, AsyncId, Environment, Provider};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use uv_core::RunMode;

#[derive(Default)]
struct Lives {
    /// Whether each id is destroyed.
    ids: BTreeMap<u64, (bool, String)>,
    open: Vec<u64>,
}

/// The ledger of one environment's resources.
pub(crate) struct Ledger {
    env: Environment,
    lives: Rc<RefCell<Lives>>,
}

struct Observer(Rc<RefCell<Lives>>);

fn number(id: AsyncId) -> u64 {
    id.to_string().parse().unwrap_or(0)
}

impl AsyncHook for Observer {
    fn on_init(&mut self, id: AsyncId, provider: Provider, _: AsyncId) {
        let before = self.0.borrow_mut().ids.insert(number(id), (false, format!("{provider:?}")));
        assert!(before.is_none(), "{id} is created twice");
    }

    fn on_before(&mut self, id: AsyncId) {
        self.0.borrow_mut().open.push(number(id));
    }

    fn on_after(&mut self, id: AsyncId) {
        assert_eq!(self.0.borrow_mut().open.pop(), Some(number(id)), "on_after of another id");
    }

    fn on_destroy(&mut self, id: AsyncId) {
        let before =
            self.0.borrow_mut().ids.get_mut(&number(id)).map(|(is_over, _)| std::mem::replace(is_over, true));
        assert_eq!(before, Some(false), "{id} is destroyed twice, or was never created");
    }
}

impl Ledger {
    /// Observes an environment from now on.
    pub(crate) fn open(env: &Environment) -> Self {
        let lives = Rc::new(RefCell::new(Lives::default()));
        env.hook(Observer(Rc::clone(&lives))).enable();
        Self { env: env.clone(), lives }
    }

    /// Once nothing is alive: every resource was destroyed.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.env.run(RunMode::NoWait).map_err(|error| error.to_string())?;
        let lives = self.lives.borrow();
        assert!(lives.open.is_empty(), "callbacks have not ended: {:?}", lives.open);
        let left: Vec<_> = lives.ids.iter().filter(|(_, (is_over, _))| !is_over).collect();
        assert!(left.is_empty(), "resources are not destroyed: {left:?}");
        Ok(())
    }
}
