"""What must hold in every run, judged without a single production rule."""
