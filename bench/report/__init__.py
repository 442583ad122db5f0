"""What runs give: records, tables, plots and pages."""
