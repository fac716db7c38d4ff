//! AsyncWrap: async ids, hooks, callback scopes, ticks and microtasks.
