"""What the hub, the network or the disk has against a download, in one line with the way out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from vggt_sfm.errors import WeightsError
from vggt_sfm.models.hub import hub_cache
from vggt_sfm.models.records import WeightsRecord


def own_file(record: WeightsRecord) -> str:
    """Tell how to do without the hub."""
    return f"or use a file of yours: --weights PATH --model {record.name}"


@contextmanager
def hub_errors(record: WeightsRecord) -> Iterator[None]:
    """Say in one line what the hub, the network or the disk has against a fetch, and the way out.

    Raises:
        WeightsError: In place of what huggingface_hub and the system raise.
    """
    from huggingface_hub import constants, errors
    from huggingface_hub.errors import HTTPError

    where = f"{record.repository} ({record.licence.url})"
    try:
        yield
    except errors.GatedRepoError as error:
        raise WeightsError(
            f"{where} is open only to accounts that accepted its licence: accept it there, set "
            f"HF_TOKEN to a token of that account and repeat; {own_file(record)}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise WeightsError(f"{where} has no revision {record.revision!r}") from error
    except errors.RepositoryNotFoundError as error:
        raise WeightsError(
            f"{where} is not there, or not for everyone: set HF_TOKEN to a token of an account "
            f"that may see it; {own_file(record)}"
        ) from error
    except errors.HfHubHTTPError as error:
        code = error.response.status_code
        advice = "check HF_TOKEN" if code in (401, 403) else "try again later"
        raise WeightsError(
            f"{where}: the hub answers {code}; {advice}; {own_file(record)}"
        ) from error
    except (HTTPError, errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise WeightsError(
            f"{record.name}: no connection to {constants.ENDPOINT} ({_first_line(error)}); the "
            f"same command goes on where it ended; {own_file(record)}"
        ) from error
    except OSError as error:
        raise WeightsError(
            f"{record.name}: cannot write to {hub_cache()}: {error.strerror or error}; "
            "HF_HUB_CACHE chooses another folder"
        ) from error
    except json.JSONDecodeError as error:
        raise WeightsError(
            f"{record.name}: {constants.ENDPOINT} does not answer like a hub "
            f"({_first_line(error)}); {own_file(record)}"
        ) from error


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
