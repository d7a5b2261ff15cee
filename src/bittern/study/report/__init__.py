"""The report on what instruments saw."""

from bittern.study.report.page import Report as Report
