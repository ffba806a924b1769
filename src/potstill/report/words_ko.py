"""보고서의 한국어 문장. 열쇠는 `words_en.py`와 같다.

`{name:은}` is written as the name with 은 or 는, whichever fits its last sound.
"""

WORDS = {
    "teacher": "교사 모델",
    "student": "학생 모델",
    "control": "대조군",
    "baseline": "기준선(n-그램 선형 모델)",
    "hard_labels": "하드 라벨로 배운 학생 모델",
    "soft_labels": "소프트 라벨로 배운 학생 모델",
    "label_smoothing": "라벨 스무딩 대조군",
    "teacher_labels": "교사 모델의 답만으로 배운 학생 모델",
    "reference": "모든 라벨을 쓴 대조군",
    "title": "증류 보고서: {title}",
    "verdict_gain": (
        "이득: 교사 모델이 도움이 되었습니다. 시험 데이터 {count}개 중 학생 모델은 {student}, 교사 없이 학습한 대조군은 "
        "{control}를 맞혔습니다. 차이는 {difference}점 [{low}, {high}], 맥니마 검정 p {p}입니다."
    ),
    "verdict_no gain": (
        "이득 없음: 시험 데이터 {count}개 중 학생 모델은 {student}, 교사 없이 학습한 대조군은 {control}를 맞혔습니다. "
        "{difference}점 [{low}, {high}]의 차이는 우연일 수 있습니다(맥니마 검정 p {p})."
    ),
    "verdict_harm": (
        "손해: 시험 데이터 {count}개 중 학생 모델은 {student}, 교사 없이 학습한 대조군은 {control}를 맞혔습니다. 차이는 "
        "{difference}점 [{low}, {high}], 맥니마 검정 p {p}입니다. 대조군을 배포하거나 교사 모델을 바꾸세요."
    ),
    "verdict_balanced": (
        "시험 데이터가 클래스마다 고르지 않습니다. 모든 클래스를 똑같이 치면 차이는 {difference}점 {ci}입니다."
    ),
    "gap_closed": "대조군과 교사 모델의 격차 가운데 메운 비율: {gap} {ci}.",
    "gap_open": "교사 모델과 대조군의 차이가 너무 작아 격차의 비율은 의미가 없습니다.",
    "baseline_wins": (
        "값싼 기준선(해시 n-그램 선형 모델, 교사 없음)이 {baseline}를 맞혀 학생 모델보다 못하지 않습니다. 기준선을 배포하는 "
        "것도 생각해 보세요."
    ),
    "smaller": "교사 모델보다 {size}배 작고 {speed}배 빠릅니다.",
    "caveats": "수치를 믿기 전에 읽어 주세요",
    "contenders": "비교 대상",
    "contenders_caption": "모두 같은 시험 데이터 {count}개로 평가했고, 크기와 시간은 한 프로세스에서 쟀습니다.",
    "gain_parts": "이득은 어디에서 왔나",
    "hard_over_control": "라벨 없는 데이터에 대한 교사 모델의 답을 하드 라벨로 썼을 때, 대조군 대비",
    "soft_over_hard": "하드 라벨 대신 소프트 라벨을 썼을 때",
    "tradeoff": "정확도와 지연 시간, 크기",
    "confusion": "혼동",
    "reliability": "확신은 믿을 만한가",
    "per_class": "클래스별: 학생 모델과 교사 모델",
    "curves": "학습 곡선",
    "disagreements": "학생 모델과 교사 모델의 답이 갈리는 곳",
    "data": "데이터",
    "spend": "교사 모델의 답에 든 비용",
    "precisions": "번들의 정밀도",
    "trials": "개발 데이터에서 시험한 설정",
    "choice": "이 학생 모델을 고른 까닭",
    "provenance": "출처",
    "model_card": "모델 카드",
    "glossary": "용어",
    "try_it": "이 브라우저에서 학생 모델 써 보기",
    "likeness": "교사 모델이 전해 준 것: 서로 닮은 클래스",
    "likeness_note": (
        "정답 라벨은 클래스 하나만 알려 줍니다. 교사 모델은 그 행이 또 무엇과 닮았는지도 알려 주고, 학생 모델은 그것까지 배웁니다."
    ),
    "likeness_caption": "각 클래스의 행에서 교사 모델이 다른 클래스에 준 확률의 평균",
    "likeness_rows": "교사 모델이 다른 클래스도 함께 본 행",
    "views": "같은 행을 변형한 모습과 각각의 소프트 라벨",
    "views_note": "교사와 학생은 똑같이 변형된 입력을 봅니다. 각 줄의 첫 번째가 원래 행입니다.",
    "seen_in_it": "함께 보이는 클래스",
    "soft_label": "소프트 라벨",
    "table_twin": "표로 보기",
    "name": "대상",
    "accuracy": "정확도",
    "interval": "95 % 구간",
    "balanced_accuracy": "균형 정확도",
    "macro_f1": "매크로 F1",
    "nll": "NLL",
    "ece": "ECE",
    "size": "크기",
    "parameters": "매개변수",
    "latency": "지연 시간 p50 / p95",
    "memory": "최대 메모리",
    "agreement": "교사 모델과 일치",
    "step": "단계",
    "difference": "차이",
    "label": "라벨",
    "said": "답",
    "rows": "개수",
    "teacher_rows": "교사 모델의 개수",
    "change": "변화",
    "confidence": "확신",
    "right": "정답 비율",
    "before": "온도 보정 전",
    "after": "온도 보정 후",
    "class": "클래스",
    "f1_teacher": "교사 모델 F1",
    "f1_student": "학생 모델 F1",
    "train_loss": "학습 손실",
    "dev_nll": "개발 NLL",
    "dev_accuracy": "개발 정확도",
    "input": "입력",
    "true_label": "라벨",
    "precision": "정밀도",
    "model_latency": "모델 p50",
    "mean_kl": "fp32와의 평균 KL",
    "passed": "허용 범위",
    "chosen": "번들에 들어감",
    "yes": "예",
    "no": "아니요",
    "setting": "설정",
    "value": "값",
    "latency_axis": "지연 시간 p50, ms (로그 눈금)",
    "size_axis": "크기, MB (로그 눈금)",
    "both_right": "둘 다 맞음",
    "teacher_only": "교사 모델만 맞음",
    "student_only": "학생 모델만 맞음",
    "both_wrong": "둘 다 틀림",
    "shown_of": "{count}개 중 {shown}개",
    "confusion_note": "학생 모델이 가장 자주 틀린 답과, 같은 자리에서 교사 모델이 틀린 횟수입니다.",
    "no_confusion": "틀린 답이 없거나, 혼동 표를 만들 수 없는 라벨입니다.",
    "out_of_scope": (
        "범위 밖: 배포되는 문턱값에서 범위 밖 데이터의 {recall}를 거절하고 범위 안 데이터의 {kept}를 받아들입니다(정확히 "
        "95 %를 받아들인다면 {recall_at_95}, AUROC {auroc}, 점수: {score})."
    ),
    "count_train": "라벨이 있는 학습 데이터",
    "count_unlabelled": "라벨이 없는 데이터",
    "count_dev": "개발 데이터",
    "count_test": "시험 데이터",
    "count_out_of_scope_test": "범위 밖 시험 데이터",
    "nothing_found": "데이터에서 이상한 점을 찾지 못했습니다.",
    "read_as_cp949": "{source:은} UTF-8이 아니어서 CP949(한국어 윈도우)로 읽었습니다.",
    "text_column": "{column} 열을 입력으로 썼습니다.",
    "label_column": "{column} 열을 라벨로 썼습니다.",
    "held_out": "시험 데이터가 없어 라벨이 있는 데이터 {count}개({share:.0%})를 따로 떼어 두었습니다.",
    "broken_inputs": "{source}: 파일을 쓸 수 없는 행 {count}개를 따로 두었습니다: {reasons} ({lines}).",
    "sample_rate": "소리를 초당 {rate:,}개 표본으로 맞추었습니다.",
    "groups_shared": "{column}의 그룹 {count}개가 학습과 시험에 모두 있습니다({groups}). 시험이 실제보다 쉽습니다.",
    "one_group": "모든 행이 {column}의 한 그룹({group})에 속해서 개발 데이터를 행 단위로 나누었습니다.",
    "empty_inputs": "{source}: 입력이 빈 행 {count}개를 뺐습니다(줄 {lines}).",
    "conflicts": "{source}: {count}개 행이 앞의 입력을 다른 라벨로 되풀이합니다. 모두 남겼습니다(줄 {lines}).",
    "repeats": "{source}: 앞의 행과 같은 {count}개 행을 뺐습니다(줄 {lines}).",
    "leaks_removed": (
        "{kind} 데이터 {count}개가 시험 데이터에도 있어(똑같은 것 {exact}개, 거의 같은 것 {near}개) {kind} 데이터에서 "
        "뺐습니다(양쪽의 줄: {lines})."
    ),
    "leaks_kept": (
        "{kind} 데이터 {count}개가 시험 데이터에도 있지만(똑같은 것 {exact}개, 거의 같은 것 {near}개) 레시피에 따라 "
        "남겼습니다. 시험 수치가 실제보다 좋게 나옵니다(양쪽의 줄: {lines})."
    ),
    "kind_training": "학습",
    "kind_unlabelled": "라벨 없는",
    "no_label": "{source}: 라벨이 없는 {count}개 행을 라벨 없는 데이터로 다룹니다.",
    "classes_without_rows": "나눈 뒤 {field}의 클래스 {count}개에 학습 데이터가 남지 않았습니다: {classes}.",
    "labels_are_answers": "기록된 교사 모델이 모든 시험 데이터에서 맞았습니다. 그 답이 곧 라벨이라면 정확도는 교사와의 일치를 뜻하고, 따로 판정한 사람은 없습니다.",
    "unknown_test": "교사 모델이 시험 데이터 {count}개에 쓸 수 있는 답을 주지 않아 틀린 것으로 셌습니다.",
    "small_dev": "개발 데이터가 {count}개뿐이라 설정 선택과 온도가 정밀하지 않습니다.",
    "refitted": (
        "개발 데이터로 고른 뒤, 그 {count}개도 라벨 있는 데이터에 넣어 교사 모델, 학생 모델, 대조군을 다시 학습했습니다. 온도와 문턱값은 "
        "그 전 단계에서 구한 것입니다."
    ),
    "seeds": (
        "시드 {count}개의 시험 정확도(학생 모델 / 대조군): {pairs}. 평균 {difference}점 [{low}, {high}]. 이 구간은 라벨 추출과 교사 "
        "모델의 시드를 포함하지 않습니다."
    ),
    "student_named": "레시피가 {kind:을} 지정합니다.",
    "student_default": "{kind:이} 기본값입니다. 우리 실험에서 바이트와 밀리초당 정확도가 가장 높았습니다.",
    "candidate_fits": "{name}: {size_bytes:,}바이트, {latency_ms} ms. 예산 안이며, 그런 후보 가운데 가장 강합니다.",
    "candidate_too_large": "{name}: {size_bytes:,}바이트, {latency_ms} ms. 예산을 넘습니다.",
    "asked": "이번에 물은 서로 다른 입력",
    "reused": "저장소의 답을 다시 쓴 서로 다른 입력",
    "refused": "쓸 수 있는 답이 없는 입력",
    "calls": "호출",
    "tokens": "토큰",
    "cost": "비용",
    "cpu_seconds": "CPU 초",
    "cost_teacher": "교사 모델 호출 1,000번의 비용",
    "cost_student": "학생 모델 호출 1,000번의 비용(기기 값 제외)",
    "cpu_per_1000": "한 건씩 1,000번 답하는 데 드는 CPU 초: {name}",
    "digest": "{name}의 SHA-256",
    "command": "이 명령으로 같은 실행을 되풀이합니다",
    "environment": "환경",
    "card_what": "{teacher}에서 증류한, 클래스 {classes}개를 가리는 분류기입니다. 정밀도는 {precision}입니다.",
    "card_use": (
        "학습 데이터와 비슷한 입력을 위해 만들었습니다. 다른 종류의 글이나 그림에서는 확신이 의미를 잃으니 먼저 `potstill "
        "evaluate`로 재어 보세요."
    ),
    "card_limits": "다른 데이터로 고른 설정을 시험 데이터 {count}개로 한 번 평가했습니다.",
    "card_license": "{part}의 라이선스: {license}.",
    "card_no_license": "라이선스: 만든 이가 밝히지 않았습니다. 교사 모델과 데이터에도 라이선스가 있으니 확인하세요.",
    "gloss_teacher": "한 번 묻고 그 답을 간직하는 큰 모델",
    "gloss_student": "그 답에서 배워 배포되는 작은 모델",
    "gloss_control": "라벨만으로 똑같이 공들여 학습한 학생 모델의 쌍둥이. 둘의 차이가 교사 모델이 준 것이다",
    "gloss_soft": "가장 그럴듯한 클래스 하나가 아니라 모든 클래스의 확률을 목표로 삼은 것",
    "gloss_temperature": "확률이 평균적으로 맞도록 로짓을 나누는 수",
    "gloss_nll": "음의 로그 가능도: 참 라벨을 보고 놀라는 정도(nat). 작을수록 좋다",
    "gloss_ece": "기대 보정 오차: 확신과 실제 정답 비율의 거리",
    "gloss_gap": "(학생 모델 - 대조군) / (교사 모델 - 대조군)",
    "gloss_words": "소프트 라벨",
    "gloss_temperature_word": "온도",
    "gloss_gap_word": "메운 격차",
}
