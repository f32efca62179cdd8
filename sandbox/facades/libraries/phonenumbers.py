"""`phonenumbers` (libphonenumber's port): numbers parsed, judged and written. What it knows of every region is loaded beforehand.

Its tables stay out of reach, and so does what writes into a number that it is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import phonenumbers
from phonenumbers.phonemetadata import PhoneMetadata

from sandbox.facades.sealed import sealed
from sandbox.whitelist import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator

PhoneMetadata.load_all()
for _region in phonenumbers.SUPPORTED_SHORT_REGIONS:
    PhoneMetadata.short_metadata_for_region(_region)


def parse(
    number: str, region: str | None = None, keep_raw_input: bool = False, *, _check_region: bool = True
) -> Any:
    """`phonenumbers.parse`, into a new number. Raises `NumberParseException`."""
    return phonenumbers.parse(
        str.__str__(number), region, keep_raw_input=keep_raw_input, _check_region=_check_region
    )


def matches(
    text: str, region: str | None, leniency: int = phonenumbers.Leniency.VALID, max_tries: int = 65535
) -> Iterator[Any]:
    """`phonenumbers.PhoneNumberMatcher`: the numbers in a text, each with `number`, `start`, `end` and `raw_string`."""
    return iter(phonenumbers.PhoneNumberMatcher(str.__str__(text), region, leniency, max_tries))


_AS_THEY_ARE: Final = (
    "NumberParseException format_number format_out_of_country_calling_number format_in_original_format"
    " format_number_for_mobile_dialing format_national_number_with_carrier_code is_valid_number is_valid_number_for_region"
    " is_possible_number is_possible_number_with_reason is_possible_number_string number_type region_code_for_number"
    " region_code_for_country_code region_codes_for_country_code country_code_for_region national_significant_number"
    " length_of_geographical_area_code length_of_national_destination_code is_number_match normalize_digits_only"
    " normalize_diallable_chars_only convert_alpha_characters_in_number is_alpha_number is_number_geographical is_nanpa_country"
    " ndd_prefix_for_region can_be_internationally_dialled is_mobile_number_portable_region example_number"
    " example_number_for_type invalid_example_number is_valid_short_number is_possible_short_number is_emergency_number"
    " connects_to_emergency_number UNKNOWN_REGION REGION_CODE_FOR_NON_GEO_ENTITY"
)
_OURS: Final[dict[str, Any]] = {
    "parse": parse,
    "PhoneNumberMatcher": matches,
    "SUPPORTED_REGIONS": frozenset(phonenumbers.SUPPORTED_REGIONS),
    "PhoneNumber": sealed(phonenumbers.PhoneNumber),
    "PhoneNumberFormat": sealed(phonenumbers.PhoneNumberFormat, "E164 INTERNATIONAL NATIONAL RFC3966"),
    "PhoneNumberType": sealed(
        phonenumbers.PhoneNumberType,
        "FIXED_LINE MOBILE FIXED_LINE_OR_MOBILE TOLL_FREE PREMIUM_RATE SHARED_COST VOIP PERSONAL_NUMBER PAGER UAN VOICEMAIL"
        " UNKNOWN",
    ),
    "MatchType": sealed(
        phonenumbers.MatchType, "NOT_A_NUMBER NO_MATCH SHORT_NSN_MATCH NSN_MATCH EXACT_MATCH"
    ),
    "ValidationResult": sealed(
        phonenumbers.ValidationResult,
        "IS_POSSIBLE IS_POSSIBLE_LOCAL_ONLY INVALID_COUNTRY_CODE TOO_SHORT INVALID_LENGTH TOO_LONG",
    ),
    "CountryCodeSource": sealed(
        phonenumbers.CountryCodeSource,
        "UNSPECIFIED FROM_NUMBER_WITH_PLUS_SIGN FROM_NUMBER_WITH_IDD FROM_NUMBER_WITHOUT_PLUS_SIGN FROM_DEFAULT_COUNTRY",
    ),
    "Leniency": sealed(phonenumbers.Leniency, "POSSIBLE VALID STRICT_GROUPING EXACT_GROUPING"),
}

MODULES: Final = {
    "phonenumbers": Entry(
        f"{' '.join(_OURS)} {_AS_THEY_ARE}",
        "phone numbers; without geocoder, carrier and timezone, which aren't in phonenumberslite",
        {**_OURS, **{name: getattr(phonenumbers, name) for name in _AS_THEY_ARE.split()}},
        is_ours=True,
    ),
}
"""What is visible of it."""
