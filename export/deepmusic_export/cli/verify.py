"""`deepmusic-export verify`: proves that a bundle plays what was trained."""

from __future__ import annotations

import argparse

from deepmusic_export.cli.arguments import bundle_path, existing_file


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the verb."""
    parser = subparsers.add_parser("verify", help="torch = ONNX offline = ONNX streamed, int8 near float")
    parser.add_argument("bundle", type=bundle_path, help="folder, zip or name of the bundle")
    parser.add_argument("--checkpoint", type=existing_file, help="what it was made of: adds the comparison with torch")
    parser.add_argument("--rate", type=int, default=48000, help="sample rate of the test signal in Hz")
    parser.add_argument("--drift-minutes", type=float, default=0.0, help="also run int8 beside float for so long")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints every comparison; exit status 1 if one fails."""
    from deepmusic_export.training.system import load_system
    from deepmusic_export.verify import INT8_SNR_DB, drift_db, verify

    networks = None
    if args.checkpoint is not None:
        system, _ = load_system(args.checkpoint)
        networks = (system.transfer, system.style)
    findings = verify(args.bundle, networks, rate_hz=args.rate)
    for finding in findings:
        verdict = "ok  " if finding.passed else "FAIL"
        sign = "<=" if finding.unit == "max abs" else ">="
        print(f"{verdict} {finding.what}: {finding.value:.3g} {finding.unit} (expected {sign} {finding.limit:g})")
    passed = all(finding.passed for finding in findings)
    if args.drift_minutes > 0:
        ratios = drift_db(args.bundle, args.drift_minutes, rate_hz=args.rate)
        steady = min(ratios) >= INT8_SNR_DB
        verdict = "ok  " if steady else "FAIL"
        print(
            f"{verdict} int8 over {args.drift_minutes:g} minutes: "
            f"first {ratios[0]:.1f}, last {ratios[-1]:.1f}, worst {min(ratios):.1f} dB (expected >= {INT8_SNR_DB:g})"
        )
        passed = passed and steady
    return 0 if passed else 1
