"""How the site, the report and the comparison look: templates, styles and scripts that need no build."""
