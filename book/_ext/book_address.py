"""The repository's address, derived where the book is built.

It stands here and nowhere else, so that a fork's book leads to the fork: the repository buttons, the edit links, the
Colab links and the address of the site all follow from it.  A forge says where it is in its environment; a clone knows
its remote; anything else (a copied folder, a clone of a local path) gets a placeholder.
"""
from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLACEHOLDER = "https://github.com/deep-limits/deep-limits"
BRANCH, NOTEBOOKS = "main", "notebooks"          # the sources; the generated notebooks
REMOTE = re.compile(r"(?:(?:https?|ssh|git)://(?:[^@/]+@)?(?P<host>[^/:]+)(?::\d+)?/|[\w.-]+@(?P<alias>[^/:]+):)"
                    r"(?P<path>[\w.-]+(?:/[\w.-]+?)+?)(?:\.git)?/?")


def from_remote(remote: str) -> str | None:
    """The web address behind a git remote, without its credentials; None for a local path."""
    found = REMOTE.fullmatch(remote.strip())
    return f"https://{found['host'] or found['alias']}/{found['path']}" if found else None


def repository(environment=os.environ, root: Path = ROOT) -> str:
    """The address of the repository, such as ``https://github.com/owner/name``."""
    if name := environment.get("GITHUB_REPOSITORY"):
        return f"{environment.get('GITHUB_SERVER_URL', 'https://github.com').rstrip('/')}/{name}"
    try:
        remote = subprocess.run(["git", "-C", str(root), "remote", "get-url", "origin"],
                                capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return PLACEHOLDER
    return from_remote(remote) or PLACEHOLDER


def slug(address: str) -> str:
    """``owner/name`` of an address."""
    return address.split("://", 1)[1].split("/", 1)[1]


def site(address: str, environment=os.environ) -> str:
    """Where the book of that repository is published; ``DEEPLIMITS_SITE_URL`` overrides it."""
    if address_given := environment.get("DEEPLIMITS_SITE_URL"):
        return address_given.rstrip("/") + "/"
    owner, name = slug(address).rsplit("/", 1)
    host = "gitlab.io" if "gitlab" in address else "github.io"
    return f"https://{owner.lower()}.{host}/" + ("" if name.lower() == f"{owner}.{host}".lower() else f"{name}/")


def colab(address: str, page: str) -> str:
    """Colab opens notebooks from a branch of a repository, not from a site."""
    return f"https://colab.research.google.com/github/{slug(address)}/blob/{NOTEBOOKS}/{page}.ipynb"


def on_colab(address: str) -> bool:
    return address.startswith("https://github.com/")


def notebooks(address: str) -> str:
    """The branch of the notebooks, with their list."""
    return f"{address}/{'-/' if 'gitlab' in address else ''}tree/{NOTEBOOKS}"


def raw(address: str) -> str:
    """Where single files of that branch can be fetched."""
    return f"{address}/{'-/' if 'gitlab' in address else ''}raw/{NOTEBOOKS}"


def configure(app, config):
    address = repository()
    config.book_repository, config.book_site = address, site(address)
    config.html_baseurl = config.ogp_site_url = config.book_site
    config.notfound_urls_prefix = "/" + config.book_site.split("://", 1)[1].partition("/")[2]    # a missing page may lie anywhere
    missing = config.notfound_context
    config.notfound_context = missing | {"body": missing["body"].replace("{root}", config.notfound_urls_prefix)}
    options = config.html_theme_options
    options.update(repository_url=address, repository_branch=BRANCH, path_to_docs="",
                   use_repository_button=True, use_issues_button=True, use_edit_page_button=True,
                   repository_provider="gitlab" if "gitlab" in address else "github")
    if on_colab(address):
        options["launch_buttons"] = {"colab_url": "https://colab.research.google.com"}


def setup(app):
    app.add_config_value("book_repository", "", "env")
    app.add_config_value("book_site", "", "env")
    app.connect("config-inited", configure, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    print(repository())
