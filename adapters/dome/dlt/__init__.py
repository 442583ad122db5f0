"""DOME's DLT adapter over the ledger: publishing, durable subscriptions, notifications, history."""
